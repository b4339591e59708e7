"""The applier's journal: what was intended before a crash is there after it, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from approvals.applying.journal import Entry, Journal


def entry(step: str, proposal: str = "p-aaaaaaaa") -> Entry:
    """An intent."""
    return Entry(proposal, step, "greeter", "1" * 40, "2" * 40)


def test_intents_come_back_in_order(tmp_path: Path) -> None:
    """Another process reads what was intended, per proposal."""
    path = tmp_path / "state" / "journal.jsonl"
    for each in (entry("release"), entry("release", "p-bbbbbbbb"), entry("switch")):
        Journal(path).intend(each)
    assert Journal(path).of("p-aaaaaaaa") == [entry("release"), entry("switch")]


def test_no_journal_is_no_intent(tmp_path: Path) -> None:
    """A first start finds nothing to finish."""
    assert Journal(tmp_path / "journal.jsonl").of("p-aaaaaaaa") == []


@pytest.mark.parametrize("torn", [b'{"proposal":"p-aaaa', b"\0" * 64, b"\xff", b'{"proposal":"\xff"}', b"[1]", b'"'])
def test_a_torn_last_line_is_no_intent(tmp_path: Path, torn: bytes) -> None:
    """A crash while writing: the step had not begun, and the lines before it count."""
    path = tmp_path / "journal.jsonl"
    Journal(path).intend(entry("release"))
    with path.open("ab") as file:
        file.write(torn)
    assert Journal(path).of("p-aaaaaaaa") == [entry("release")]


@pytest.mark.parametrize("kept", range(1, 20, 6))
def test_what_is_intended_after_a_torn_line_is_kept(tmp_path: Path, kept: int) -> None:
    """The next start goes on writing behind a torn line, and its intents are not swallowed by it."""
    path = tmp_path / "journal.jsonl"
    Journal(path).intend(entry("release"))
    whole = path.read_bytes()
    with path.open("ab") as file:
        file.write(whole[:kept])
    Journal(path).intend(entry("switch"))
    assert Journal(path).of("p-aaaaaaaa") == [entry("release"), entry("switch")]


def test_others_cannot_read_it(tmp_path: Path) -> None:
    """The file is its owner's."""
    path = tmp_path / "journal.jsonl"
    Journal(path).intend(entry("release"))
    assert path.stat().st_mode & 0o077 == 0
