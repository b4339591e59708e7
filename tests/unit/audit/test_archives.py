"""The list of a trail's archives: what it says, and where it is wrong."""

from __future__ import annotations

import pytest

from bus.audit.archives import LIST, MESSAGES, Archive, Archives, problem_of, spelled
from bus.provision.rotation import archive_config, mirror_config
from schemas.errors import InvalidDocument

ARCHIVE = Archive(31, 60)


def listed(*names: str, live_last: int = 99) -> Archives:
    return Archives.listed({"metadata": {LIST: " ".join(names)}}, live_last)


def test_a_name_is_its_range() -> None:
    """A name is read back, and nothing else is a name."""
    assert Archive.parse(ARCHIVE.name) == ARCHIVE
    for name in (
        "AUDIT",
        "AUDIT_31",
        "AUDIT_31_60_",
        "AUDIT_031_60",
        "AUDIT_60_31",
        "AUDIT_0_3",
        "AUDIT_1_*",
        "audit_1_2",
    ):
        with pytest.raises(InvalidDocument):
            Archive.parse(name)


def test_a_whole_list() -> None:
    """Each sequence is in one archive or, behind them, in AUDIT."""
    archives = listed("AUDIT_1_30", "AUDIT_31_60")
    assert (archives.problems, archives.last, spelled(archives.all)) == ((), 60, "AUDIT_1_30 AUDIT_31_60")
    assert [archives.of(sequence) for sequence in (1, 30, 31, 61)] == [Archive(1, 30), Archive(1, 30), ARCHIVE, None]
    assert Archives.listed({}) == Archives()


@pytest.mark.parametrize(
    ("names", "live_last", "place"),
    [
        (("AUDIT_31_60",), 99, 1),
        (("AUDIT_1_30", "AUDIT_35_60"), 99, 31),
        (("AUDIT_1_30", "AUDIT_20_60"), 99, 20),
        (("AUDIT_1_30", "AUDIT_1_30"), 99, 1),
        (("AUDIT_1_30", "$JS.API.>", "AUDIT_31_60"), 99, 31),
        (("AUDIT_1_30", "AUDIT_31_60"), 59, 61),
    ],
)
def test_what_is_wrong_with_a_list(names: tuple[str, ...], live_last: int, place: int) -> None:
    """The first sequence that the list does not account for is named."""
    assert [broken.first for broken in listed(*names, live_last=live_last).problems] == [place]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, ""),
        ({"last_seq": 61}, "stream sequences 12 to 61"),
        ({"first_seq": 32}, "stream sequences 32 to 60"),
        ({"messages": 0}, "nothing"),
        ({"messages": 31}, "31 messages; it was put away with 32"),
    ],
)
def test_what_is_wrong_with_an_archive(change: dict[str, int], said: str) -> None:
    """The server's own words are compared with the name and the metadata."""
    state = {"first_seq": 12, "last_seq": 60, "messages": 32} | change
    info = {"config": {"sealed": True, "metadata": {MESSAGES: "32"}}, "state": state}
    assert said in problem_of(ARCHIVE, info)
    assert bool(said) == bool(problem_of(ARCHIVE, info))
    unsealed = info | {"config": {"sealed": False, "metadata": {MESSAGES: "32"}}}
    assert (said or "not sealed") in problem_of(ARCHIVE, unsealed)


def test_as_many_copies_as_the_stream() -> None:
    """An archive, and the mirror of it, are kept as often as AUDIT is; the archive takes no message."""
    live = {"name": "AUDIT", "subjects": ["audit.>"], "num_replicas": 3, "allow_atomic": True, "duplicate_window": 1}
    archive, mirror = archive_config(live, ARCHIVE), mirror_config(live, ARCHIVE)
    assert (archive["num_replicas"], mirror["num_replicas"]) == (3, 3)
    assert (archive["name"], archive["subjects"], archive["sealed"]) == ("AUDIT_31_60", [], True)
    assert mirror["name"] == "AUDIT"
    assert not {"subjects", "allow_atomic", "duplicate_window"} & mirror.keys()
