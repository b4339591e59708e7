"""A stored conversation is less than a megabyte, whatever was said in it, and stays one that a model accepts."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from agents.llm import AssistantTurn, ToolCall, ToolResult, ToolTurn, UserTurn
from agents.memory.bounds import MAX_ARCHIVE_BYTES, MAX_SESSION_BYTES, bounded, size_of
from agents.memory.session import Kept, Session

MB = 1_000_000


def session(turns: list[Kept], archived: list[Kept] | None = None, summary: str = "") -> Session:
    """A conversation of these turns."""
    return Session(
        caller="ops", context_id="c", began_at="t", written_at="t", turns=tuple(turns),
        archived=tuple(archived or ()), summary=summary,
    )  # fmt: skip


def said(size: int, text: str = "x") -> Kept:
    """A message of about `size` characters."""
    return Kept(turn=UserTurn(text=text * size), exchange="m", at="2026-01-02T03:04:05.678Z")


def test_what_fits_stays_as_it_is() -> None:
    """Nothing goes without need."""
    small = session([said(1_000)] * 100, [said(1_000)] * 100, "summary")
    assert bounded(small, 5) == small


def test_the_archives_oldest_go_first() -> None:
    """Half a megabyte of archive beside what a model is told: the newest of it stay, and how many went is known."""
    large = session([said(100_000)] * 5, [said(10_000, str(n % 10)) for n in range(60)])
    found = bounded(large, 5)
    assert found.turns == large.turns
    assert 0 < len(found.archived) < 60
    assert found.archived == large.archived[-len(found.archived) :]
    assert found.forgotten == 60 - len(found.archived)
    assert size_of(found) <= MAX_SESSION_BYTES
    assert len(found.archived) * 10_000 <= MAX_ARCHIVE_BYTES


def test_when_turns_go_the_older_archive_goes_with_them() -> None:
    """A gap between the archive and what follows would not be seen."""
    found = bounded(session([said(200_000)] * 8, [said(10)] * 3), 2)
    assert (len(found.turns), len(found.archived), found.forgotten) == (4, 0, 7)


def test_the_newest_are_cut_rather_than_lost() -> None:
    """Five messages of a megabyte each: all are there, without their middles, and the call still has its result."""
    call = ToolCall(id="1", name="read", input={"path": "x" * MB})
    turns = [
        said(MB),
        Kept(turn=AssistantTurn(text="é" * MB, tool_calls=(call,))),
        Kept(turn=ToolTurn(results=(ToolResult(call_id="1", name="read", text='"\n' * MB),))),
        said(MB, "\x01"),
        said(5),
    ]
    found = bounded(session(turns, summary="s" * MB), 5)
    assert size_of(found) <= MAX_SESSION_BYTES
    assert len(found.turns) == 5
    assert found.turns[-1] == turns[-1]
    asked, results = found.turns[1].turn, found.turns[2].turn
    assert isinstance(asked, AssistantTurn)
    assert isinstance(results, ToolTurn)
    assert asked.tool_calls[0].id == results.results[0].call_id
    assert "characters …]" in results.results[0].text


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("x\x00é字"), st.integers(0, 400_000)), max_size=12),
    st.lists(st.integers(0, 300_000), max_size=12),
    st.integers(1, 12),
)
def test_any_conversation_fits(turns: list[tuple[str, int]], archived: list[int], keep: int) -> None:
    """However many, of whatever letters; the newest that must stay are there."""
    whole = session([said(size, letter) for letter, size in turns], [said(size) for size in archived])
    found = bounded(whole, keep)
    assert size_of(found) <= MAX_SESSION_BYTES
    assert len(found.turns) >= min(keep, len(turns))
    assert len(found.turns) + len(found.archived) + found.forgotten == len(turns) + len(archived)
