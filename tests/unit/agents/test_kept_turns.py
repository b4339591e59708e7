"""How far a conversation is: what is kept of it, and what another run makes of that."""

from __future__ import annotations

import msgspec
import pytest

from agents.llm import AssistantTurn, ToolCall, ToolResult, ToolTurn
from agents.loop import NotKept, Pending, Progress
from agents.runtime.tasks.kept_turns import Kept, encoded, without_asking
from bus.sessions import MAX_VALUE_BYTES

CALLS = tuple(ToolCall(id="same", name=name) for name in ("one", "two", "three"))
ASKED = AssistantTurn(text="I will.", tool_calls=CALLS)


def result(text: str = "done") -> ToolResult:
    return ToolResult(call_id="same", name="one", text=text)


def test_calls_of_one_id_are_told_apart() -> None:
    """A model may give two of them the same id; each has its own result."""
    pending = Pending(CALLS)
    pending.end(CALLS[1], result("second"))
    assert pending.known(CALLS[0]) is None
    assert pending.results == (None, result("second"), None)


def test_a_call_that_had_begun_elsewhere_is_not_run_again() -> None:
    """Nobody knows what came of it: the model is told so, and to check."""
    pending = Pending(CALLS, (result(), None, None), (1,))
    assert pending.known(CALLS[0]) == result()
    unknown = pending.known(CALLS[1])
    assert unknown is not None
    assert unknown.is_error
    assert "outcome unknown" in unknown.text
    assert "check what it did before you repeat it" in unknown.text
    assert pending.known(CALLS[2]) is None


def test_a_call_that_begins_here_is_known_when_it_has_ended() -> None:
    """What begun is and has ended is not left to guess."""
    pending = Pending(CALLS)
    pending.begin(CALLS[0])
    pending.begin(CALLS[1])
    seen = [pending.begun]
    assert pending.end(CALLS[0], result())
    pending.take_back(CALLS[1])
    assert [*seen, pending.begun] == [(0, 1), ()]
    assert not pending.end(CALLS[1], result())


def test_what_was_asked_of_people_stands_behind_what_was_done() -> None:
    """Of a turn that waited, the calls that ran keep their results; the one that waits is as if never asked for."""
    progress = Progress(turns=(ASKED,), results=(result(), None, None), rounds=1, tool_calls=2)
    assert without_asking(progress) == Progress(
        turns=(AssistantTurn(text="I will.", tool_calls=CALLS[:1]), ToolTurn(results=(result(),))),
        rounds=2,
        tool_calls=2,
    )
    assert without_asking(Progress(turns=(ASKED,))).turns == ()
    over = Progress(turns=(ASKED, ToolTurn(results=(result(),))))
    assert without_asking(over) is over


def test_a_long_conversation_is_kept_with_shorter_results() -> None:
    """What tools found gives way, with a word that it was cut; nothing else does."""
    long = ToolTurn(results=tuple(result("x" * 20_000) for _ in range(60)))
    kept = Kept(run="r", progress=Progress(turns=(ASKED, long), results=(result("y" * 300),), begun=(1,)))
    value = encoded(kept)
    assert len(value) < MAX_VALUE_BYTES
    back = msgspec.json.decode(value, type=Kept)
    assert back.progress.begun == (1,)
    turn = back.progress.turns[1]
    assert isinstance(turn, ToolTurn)
    assert turn.results[0].text.endswith("[cut: 20000 characters, the rest was not kept]")
    assert back.progress.results == (result("y" * 300),)


def test_what_is_too_long_all_the_same_is_not_kept() -> None:
    """And so nothing that cannot be remembered is done."""
    turns = tuple(AssistantTurn(text="z" * 200_000) for _ in range(6))
    with pytest.raises(NotKept, match="too long"):
        encoded(Kept(run="r", progress=Progress(turns=turns)))
