"""The spool against a model, with a crash after any byte."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.audit.writing import spool as spool_module
from bus.audit.writing.spool import Entry, Spool
from bus.errors import AuditUnavailable
from schemas.audit import digest
from tests.harness.disk import files_up_to

LIMIT = 1_000_000
data = st.binary(max_size=200)
operations = st.lists(st.one_of(data, st.integers(0, 30)), max_size=30)


def entry(counter: int, content: bytes) -> Entry:
    return Entry(counter, counter * 1000, "audit.agent.greeter.0.request", digest(content), content)


def played(path: Path, steps: list[bytes | int]) -> list[Entry]:
    """Append (bytes) and cut (an int) on a real file; return what must still be in it."""
    spool, live, counter = Spool(path, LIMIT), [], 0
    assert spool.load() == []
    for step in steps:
        if isinstance(step, bytes):
            counter += 1
            live.append(entry(counter, step))
            spool.append([live[-1]])
        else:
            spool.cut(step)
            live = [kept for kept in live if kept.counter > step]
    spool.close()
    return live


def reopened(path: Path) -> list[Entry]:
    spool = Spool(path, LIMIT)
    try:
        return spool.load()
    finally:
        spool.close()


@settings(max_examples=60, deadline=None)
@given(steps=operations)
def test_what_was_appended_and_not_cut_comes_back(steps: list[bytes | int]) -> None:
    """The last records are exactly those that were not cut; before them only records that were."""
    with tempfile.TemporaryDirectory() as folder:
        live = played(Path(folder) / "spool", steps)
        found = reopened(Path(folder) / "spool")
        assert found[len(found) - len(live) :] == live
        assert [kept.counter for kept in found] == sorted({kept.counter for kept in found})


@settings(max_examples=60, deadline=None)
@given(steps=st.lists(data, min_size=1, max_size=12), where=st.floats(0, 1))
def test_a_crash_after_any_byte_loses_only_the_torn_record(steps: list[bytes], where: float) -> None:
    """Of a file that ends anywhere, every whole record comes back, and the next one is appended after them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "spool"
        live = played(path, list(steps))
        whole = path.read_bytes()
        size = int(len(whole) * where)
        path.write_bytes(whole[:size])
        ends = [sum(len(spool_module._format(kept)) for kept in live[: n + 1]) for n in range(len(live))]
        expected = [kept for kept, end in zip(live, ends, strict=True) if end <= size]
        spool = Spool(path, LIMIT)
        assert spool.load() == expected
        new = entry(1000, b"after the crash")
        spool.append([new])
        spool.close()
        assert reopened(path) == [*expected, new]


@settings(max_examples=60, deadline=None)
@given(steps=st.lists(data, min_size=1, max_size=8), where=st.floats(0, 0.999), bit=st.integers(0, 7))
def test_a_damaged_byte_ends_the_reading_there(steps: list[bytes], where: float, bit: int) -> None:
    """No damaged record is ever returned: what comes back is a start of what was written."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "spool"
        live = played(path, list(steps))
        damaged = bytearray(path.read_bytes())
        damaged[int(len(damaged) * where)] ^= 1 << bit
        path.write_bytes(damaged)
        found = reopened(path)
        assert len(found) < len(live)
        assert found == live[: len(found)]
        read = sum(len(spool_module._format(kept)) for kept in found)
        assert [kept.read_bytes() for kept in Path(folder).glob("spool.damaged-*")] == [bytes(damaged[read:])]


def test_zeros_after_a_power_cut_are_not_records(tmp_path: Path) -> None:
    """A file that the disk filled with zeros holds nothing."""
    (tmp_path / "spool").write_bytes(bytes(4096))
    assert reopened(tmp_path / "spool") == []
    assert list(tmp_path.glob("spool.damaged-*")) == []


def test_what_cannot_be_read_is_not_thrown_away(tmp_path: Path) -> None:
    """On a disk that has no room to keep the unreadable end elsewhere, the spool stays as it is."""
    played(tmp_path / "spool", [b"one", b"two"])
    damaged = (tmp_path / "spool").read_bytes()[:-1] + b"?"
    (tmp_path / "spool").write_bytes(damaged)
    with files_up_to(10), pytest.raises(OSError, match="No space left"):
        reopened(tmp_path / "spool")
    assert (tmp_path / "spool").read_bytes() == damaged


def test_a_spool_that_never_empties_is_compacted(tmp_path: Path) -> None:
    """The file does not grow with what was cut: its size stays near what is waiting."""
    spool = Spool(tmp_path / "spool", 64 * 1024 * 1024)
    spool.load()
    for counter in range(1, 3001):
        spool.append([entry(counter, b"x" * 10_000)])
        spool.cut(counter - 3)
    spool.close()
    assert (tmp_path / "spool").stat().st_size < 5 * 1024 * 1024
    assert [kept.counter for kept in reopened(tmp_path / "spool")][-3:] == [2998, 2999, 3000]


@pytest.mark.parametrize("room", [0, 10_000])
def test_a_spool_that_cannot_be_compacted_stays_as_it_is(tmp_path: Path, room: int) -> None:
    """On a full disk what waits stays readable, and the tries leave neither files nor descriptors behind."""
    spool = Spool(tmp_path / "spool", 64 * 1024 * 1024)
    spool.load()
    for counter in range(1, 1001):
        spool.append([entry(counter, b"x" * 10_000)])
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    with files_up_to(room) as logged:
        for counter in range(501, 900):
            spool.cut(counter)
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors
    assert sorted(path.name for path in tmp_path.iterdir()) == ["spool", "spool.lock"]
    assert {line["event"] for line in logged} == {"audit.spool_not_compacted"}
    spool.append([entry(1001, b"there is room again")])
    spool.cut(999)
    spool.close()
    assert [kept.counter for kept in reopened(tmp_path / "spool")] == [1000, 1001]


def test_a_closed_spool_touches_nobody_elses_file(tmp_path: Path) -> None:
    """Closed twice it closes nothing that was opened since, and what is appended then is refused."""
    spool = Spool(tmp_path / "spool", 1000)
    spool.close()
    with (tmp_path / "other").open("wb") as other, (tmp_path / "another").open("wb") as another:
        spool.close()
        with pytest.raises(AuditUnavailable):
            spool.append([entry(1, b"x")])
        other.write(b"1")
        another.write(b"2")
    assert (tmp_path / "other").read_bytes() + (tmp_path / "another").read_bytes() == b"12"


def test_a_full_spool_refuses_and_keeps_what_it_has(tmp_path: Path) -> None:
    """The limit counts what waits, not what was cut."""
    spool = Spool(tmp_path / "spool", 1000)
    spool.load()
    spool.append([entry(1, b"x" * 800)])
    with pytest.raises(AuditUnavailable, match="full"):
        spool.append([entry(2, b"x" * 800)])
    spool.cut(1)
    spool.append([entry(2, b"x" * 800)])
    spool.close()
    assert [kept.counter for kept in reopened(tmp_path / "spool")] == [2]
