"""A verification that goes on where one was interrupted, or begins at a kept checkpoint: as strong as it says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bus.audit.read import Bounds, Record
from bus.audit.seal.check import SealCheck
from bus.audit.seal.nodes import FileNodes, remembered_range
from bus.audit.tlog.checkpoint import Checkpoint
from bus.audit.tlog.leaf import Leaf
from bus.audit.tlog.merkle import CompactRange
from bus.audit.verifying.bookmark import Bookmark, Identity
from bus.audit.verifying.self_test import KINDS, located
from bus.audit.verifying.self_test_trail import Planted, small_trail
from bus.audit.verifying.verify import NOWHERE, Begin, Report, Verifier
from bus.audit.writing.head import Head

TRAIL = small_trail()
LAST = len(TRAIL.records)
OURS = Identity.of(Bounds(1, LAST, "2030-01-01T00:00:00Z"), TRAIL.policy, TRAIL.trust)


def verifier_of(trail: Planted, begin: Begin = NOWHERE, before: CompactRange | None = None) -> Verifier:
    seals = SealCheck(trail.policy, trail.known, before=before)
    return Verifier(trail.trust, trail.heads, seals=seals, begin=begin)


def fed(verifier: Verifier, records: tuple[Record, ...]) -> Verifier:
    for record in records:
        verifier.add(record)
    return verifier


def gone_on(path: Path, trail: Planted) -> Report:
    """A second run's report."""
    verifier = fed(verifier_of(trail, Bookmark(path, OURS).begin()), trail.records)
    if len(trail.records) < verifier.begin.after:
        verifier.ended_before(len(trail.records))
    return verifier.finish()


@pytest.mark.parametrize("position", range(1, LAST))
def test_a_run_goes_on_from_anywhere(tmp_path: Path, position: int) -> None:
    """Interrupted after each message in turn, also within a batch: the second run says what a whole one does."""
    path = tmp_path / "state" / "verify.json"
    assert Bookmark(path, OURS).save(fed(verifier_of(TRAIL), TRAIL.records[:position]))
    assert path.stat().st_mode & 0o777 == 0o600
    report = gone_on(path, TRAIL)
    assert report.began_after == position
    whole = fed(verifier_of(TRAIL), TRAIL.records).finish()
    assert replace(report, began_after=0, rests_on="") == whole


@pytest.mark.parametrize("position", [1, 8, 13, LAST - 1])
@pytest.mark.parametrize("changed", [0, 7, 12, 16])
def test_a_change_before_and_after_the_place_is_found(tmp_path: Path, position: int, changed: int) -> None:
    """What is changed between the two runs is found by the second, whether the first had read it or not."""
    path = tmp_path / "verify.json"
    Bookmark(path, OURS).save(fed(verifier_of(TRAIL), TRAIL.records[:position]))
    records = list(TRAIL.records)
    block = records[changed].block.replace(b"Stamp: 2030", b"Stamp: 2031")
    records[changed] = records[changed]._replace(block=block)
    report = gone_on(path, replace(TRAIL, records=tuple(records), known=()))
    is_seen = changed < max(position, 16)  # nothing seals the last message yet
    assert report.verdict == ("tampered" if is_seen else "sound")
    if is_seen:
        first, last = located(report)
        assert first <= changed + 1 <= last


@pytest.mark.parametrize("name", [name for name in KINDS if not name.endswith(("clock ran backwards", "the future"))])
def test_the_second_run_sees_what_a_whole_one_sees(tmp_path: Path, name: str) -> None:
    """Everything of the self-test, planted after the first run read six messages and saw nothing wrong."""
    planted = replace(KINDS[name].plant(TRAIL), is_sealed=True)
    verifier = fed(verifier_of(TRAIL), TRAIL.records[:6])
    path = tmp_path / "verify.json"
    Bookmark(path, OURS).save(verifier)
    assert gone_on(path, planted).verdict == "tampered"


def test_a_head_in_what_was_read_before_is_compared(tmp_path: Path) -> None:
    """A producer's host that saw another event in a place before the interruption is heard by the second run too."""
    path = tmp_path / "verify.json"
    Bookmark(path, OURS).save(fed(verifier_of(TRAIL), TRAIL.records[:13]))
    slot = TRAIL.heads[0].slot
    for at, sha256, verdict in ((9, "f" * 64, "tampered"), (9, _digest_at(9), "sound"), (8, _digest_at(9), "tampered")):
        head = Head(slot=slot, counter=6, sha256=sha256, stream_sequence=at)
        assert gone_on(path, replace(TRAIL, heads=(head,))).verdict == verdict


def _digest_at(sequence: int) -> str:
    return TRAIL.records[sequence - 1].headers["Nats-Msg-Id"]


def test_a_stream_that_ends_before_the_place_was_cut(tmp_path: Path) -> None:
    """Without any checkpoint or head: the first run saw more."""
    path = tmp_path / "verify.json"
    Bookmark(path, OURS).save(fed(verifier_of(TRAIL), TRAIL.records[:15]))
    report = gone_on(path, replace(TRAIL, records=TRAIL.records[:12], heads=(), known=()))
    assert (report.verdict, located(report)) == ("tampered", (13, 13))


def test_a_state_of_another_stream_is_refused(tmp_path: Path) -> None:
    """Another stream, another log, other keys, or a file that is none: the run begins anew, and says why."""
    path = tmp_path / "verify.json"
    Bookmark(path, OURS).save(fed(verifier_of(TRAIL), TRAIL.records[:9]))
    bounds = Bounds(1, LAST, OURS.created)
    others = (
        Identity.of(bounds._replace(created="2031-01-01T00:00:00Z"), TRAIL.policy, TRAIL.trust),
        Identity.of(bounds, TRAIL.policy, {}),
        Identity.of(bounds, small_trail().policy, TRAIL.trust),
    )
    for other in others:
        bookmark = Bookmark(path, other)
        assert (bookmark.begin(), "another stream" in bookmark.refused) == (NOWHERE, True)
    assert Bookmark(path, OURS).begin().after == 9
    for junk in (b"", b"{}", b"\xff", path.read_bytes().replace(b'"position"', b'"place"')):
        path.write_bytes(junk)
        bookmark = Bookmark(path, OURS)
        assert (bookmark.begin(), "cannot be read" in bookmark.refused) == (NOWHERE, True)
    path.unlink()
    bookmark = Bookmark(path, OURS)
    assert (bookmark.begin(), bookmark.refused) == (NOWHERE, "")


def test_when_it_is_saved(tmp_path: Path) -> None:
    """When it is due, not more often; never after something was found, nor before the place where the run began."""
    clock = [0.0]
    path = tmp_path / "verify.json"
    bookmark = Bookmark(path, OURS, every_s=5, now=lambda: clock[0])
    bookmark.offer(fed(verifier_of(TRAIL), TRAIL.records[:3]))
    assert not path.exists()
    clock[0] = 5.0
    bookmark.offer(fed(verifier_of(TRAIL), TRAIL.records[:3]))
    assert Bookmark(path, OURS).begin().after == 3
    assert not bookmark.save(fed(verifier_of(TRAIL), TRAIL.records[1:9])), "a message is missing"
    assert not bookmark.save(fed(verifier_of(TRAIL, bookmark.begin()), TRAIL.records[:2])), "it is not there again yet"
    assert Bookmark(path, OURS).begin().after == 3
    bookmark.clear()
    bookmark.clear()
    assert not path.exists()
    (tmp_path / "file").touch()
    refused = Bookmark(tmp_path / "file" / "verify.json", OURS)
    assert not refused.save(fed(verifier_of(TRAIL), TRAIL.records[:3]))
    assert "cannot be saved" in refused.problem


def test_from_a_checkpoint_the_messages_before_it_are_hashed_or_left_out(tmp_path: Path) -> None:
    """With the sealer's hashes nothing before is read; without them all of it is, and a change there is found."""
    nodes, tree = FileNodes(tmp_path, 0), CompactRange()
    for record in TRAIL.records:
        nodes.append(tree.append(Leaf.of_answer(record.block, record.payload).hash()))
    nodes.save()
    nodes.close()
    for size in range(1, LAST):
        before = remembered_range(tmp_path, size)
        assert before is not None
        unread = Begin(size, "kept", is_read=False)
        report = fed(verifier_of(TRAIL, unread, before), TRAIL.records[size:]).finish()
        assert (report.verdict, report.began_after, report.findings) == ("sound", size, ())
        read = fed(verifier_of(TRAIL, Begin(size, "kept")), TRAIL.records).finish()
        assert (read.verdict, read.events) == ("sound", report.events)
    assert remembered_range(tmp_path, LAST + 1) is None
    assert remembered_range(tmp_path / "none", 3) is None


@pytest.mark.parametrize("is_read", [True, False])
def test_what_is_found_after_a_checkpoint(*, is_read: bool) -> None:
    """After it everything is checked, its own place in the tree included; before it, bytes alone, where they are read."""
    before = CompactRange()
    for record in TRAIL.records[:12]:
        before.append(Leaf.of_answer(record.block, record.payload).hash())
    trusted = Checkpoint(TRAIL.policy.logs[0].name, 12, before.root())

    def report(records: tuple[Record, ...]) -> Report:
        begin = Begin(12, "kept", is_read=is_read)
        tree = None if is_read else CompactRange(12, before.hashes)
        verifier = verifier_of(replace(TRAIL, known=(*TRAIL.known, trusted)), begin, tree)
        return fed(verifier, records if is_read else records[12:]).finish()

    def changed(at: int) -> tuple[Record, ...]:
        one = TRAIL.records[at - 1]
        other = one._replace(payload=one.payload.replace(b"SendMessage", b"SendMassage"))
        return (*TRAIL.records[: at - 1], other, *TRAIL.records[at:])

    assert report(TRAIL.records).verdict == "sound"
    assert located(report(changed(15))) == (15, 15)
    assert (13, 16) in [(one.sequence, one.last) for one in report(changed(15)).findings]
    assert report(changed(3)).verdict == ("tampered" if is_read else "sound")
    assert located(report(TRAIL.records[:14])) == (15, 15)
