"""What a run has begun, through kills in the middle of a line."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from agents.pipeline.errors import RunTaken, RunUnlike
from agents.pipeline.journal import Begun, Journal

BEGUN = Begun(pipeline="p", digest="d", input="what is to be done")


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    """Tries in their order, the last one of a step and round, and what the run was begun with."""
    path = tmp_path / "runs" / "r.jsonl"
    with Journal.opened(path, BEGUN) as journal:
        first = journal.about_to("a", 1, 1)
        journal.left(first, "task-1")
        journal.about_to("a", 1, 2)
        journal.left(journal.about_to("b", 1, 1), "task-2")
    with Journal.opened(path, None) as journal:
        assert journal.begun == BEGUN
        last = journal.last("a", 1)
        assert last is not None
        assert (last.number, last.task) == (2, "")
        assert [tried.task for tried in journal.all()] == ["task-1", "task-2"]
        assert journal.last("a", 2) is None
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_half_a_line_is_nothing(tmp_path: Path) -> None:
    """At whatever byte a process is killed, what was there before it is there, and the next line is whole."""
    path = tmp_path / "r.jsonl"
    with Journal.opened(path, BEGUN) as journal:
        journal.left(journal.about_to("a", 1, 1), "task-1")
    whole = path.read_bytes()
    begins = whole.rfind(b"\n", 0, -1) + 1
    for end in range(begins, len(whole)):
        path.write_bytes(whole[:end])
        with Journal.opened(path, BEGUN) as journal:
            last = journal.last("a", 1)
            assert last is not None
            assert not last.task
            journal.left(last, "task-9")
        with Journal.opened(path, None) as journal:
            assert [tried.task for tried in journal.all()] == ["task-9"]


def test_a_run_is_one_processes_and_one_files(tmp_path: Path) -> None:
    """Somebody else at it, another input, no such run, and a file that is none: each is told."""
    path = tmp_path / "r.jsonl"
    with pytest.raises(RunUnlike, match="there is no run r"), Journal.opened(path, None):
        pass
    with Journal.opened(path, BEGUN), pytest.raises(RunTaken), Journal.opened(path, None):
        pass
    other = Begun(pipeline="p", digest="d", input="something else")
    with pytest.raises(RunUnlike, match="another file, input or budget"), Journal.opened(path, other):
        pass
    path.write_bytes(b"{}\n")
    with pytest.raises(RunUnlike, match="cannot be read"), Journal.opened(path, None):
        pass
