"""A conversation held again: which calls of tools the record answers, and what is said of those that it does not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from agents.evaluation.recorded import NOT_RECORDED, Recorded, exchanges_of
from agents.evaluation.replaying import Again, replay, replay_through
from agents.llm import AssistantTurn, Completion, Failover, Pool, ToolCall, ToolResult, ToolTurn, Turn, UserTurn
from agents.testing import calls
from agents.testing.script import Script
from schemas.agent import AgentFile
from schemas.documents import parse_yaml

FILE = parse_yaml(
    "agent: {id: a, description: d, version: 1.0.0}\n"
    "llm: {system_prompt: New., pool: [{provider: offline}]}\n"
    "tools: [read]\nbudget: {max_iterations: 3}\n",
    AgentFile,
    "agent.yaml",
)


def called(*found: tuple[str, Any]) -> tuple[Turn, Turn]:
    """A turn that looks things up, and its results; a model may give all calls one id."""
    made = tuple(ToolCall(id="c", name="look", input={"word": word}) for word, _ in found)
    results = tuple(ToolResult(call_id="c", name="look", text=text) for _, text in found)
    return AssistantTurn(text="Let me see.", tool_calls=made), ToolTurn(results=results)


TURNS: tuple[Turn, ...] = (
    UserTurn(text="Rain?"), *called(("rain", "wet"), ("rain", "very wet")), UserTurn(text="and snow?"),
    *called(("snow", "white")), AssistantTurn(text="Wet and white."),
    UserTurn(text="Thanks"), AssistantTurn(text="Welcome."),
    UserTurn(text="Still there?"), *called(("x", "y")),
)  # fmt: skip


async def held(*steps: Any) -> tuple[tuple[Again, ...], Sequence[Completion]]:
    """The conversation, held to the end of each exchange by a model that says this; and what it was asked."""
    script = Script(steps)
    pool = Pool.of(script, failover=Failover())
    seen: list[Again] = []
    again = await replay_through(FILE, TURNS, pool, on_again=seen.append)
    await pool.close()
    assert seen == list(again)
    return again, script.questions


def told(completion: Completion) -> list[str]:
    """The results that stand last in a question."""
    last = completion.turns[-1]
    assert isinstance(last, ToolTurn)
    return [result.text for result in last.results]


def test_exchanges_are_what_has_an_answer() -> None:
    """What was added while the agent was at work belongs to the question; what has no answer is left out."""
    first, second = exchanges_of(TURNS)
    assert [turn.text for turn in first.asked] == ["Rain?", "and snow?"]
    assert (first.before, first.answer, len(first.made)) == ((), "Wet and white.", 4)
    assert (second.before, second.made, second.answer) == (TURNS[:7], (), "Welcome.")


async def test_calls_are_answered_from_the_record() -> None:
    """By tool and arguments, the first call by the first result, each once; then the answer is compared."""
    (first, second), asked = await held(
        calls("look", word="snow") + calls("look", word="rain"), calls("look", word="rain"), "Wet and  white.\n", "Bye."
    )
    assert [told(one) for one in asked[1:3]] == [["white", "wet"], ["very wet"]]
    assert (first.tried.is_passed, first.not_recorded, first.now) == (True, (), "Wet and  white.\n")
    assert (second.tried.is_passed, second.question, second.before, second.now) == (False, "Thanks", "Welcome.", "Bye.")
    assert asked[3].turns == TURNS[:8]
    assert {tool.name for tool in asked[0].tools} == {"look", "read"}


async def test_what_is_not_on_record_is_said_and_named() -> None:
    """Another word, another tool, and a call that was made less often then."""
    (first, _), asked = await held(
        calls("look", word="hail") + calls("read", path="a"), calls("look", word="snow"), calls("look", word="snow"),
        "Wet and white.", "Welcome.",
    )  # fmt: skip
    assert [told(one) for one in asked[1:4]] == [[NOT_RECORDED] * 2, ["white"], [NOT_RECORDED]]
    assert (first.tried.is_passed, first.not_recorded) == (True, ("look", "read", "look"))


async def test_a_model_that_only_calls_tools_is_stopped() -> None:
    """After as many turns as the agent has; that is no answer."""
    (first, _), asked = await held(*[calls("look", word="rain")] * 4, "Welcome.")
    assert (first.now, first.tried.is_passed) == (None, False)
    assert first.tried.why == "the model asked for tools in more than 3 turns"
    assert len(asked) == 5


async def test_answer_by_answer_as_before() -> None:
    """Without that, each answer is asked for with the results of then."""
    pool = Pool.of(
        Script([calls("look", word="rain"), "Snow.", "Wet and white.", "Welcome.", "Hm"]), failover=Failover()
    )
    again = await replay(FILE, TURNS, pool, on_again=lambda _: None)
    assert [one.tried.is_passed for one in again] == [False, False, True, True, False]
    assert all(one.not_recorded == () for one in again)


@pytest.mark.parametrize("number", [1e400, float("nan")])
def test_arguments_without_a_canonical_form(number: float) -> None:
    """They are the same as they are written."""
    call = ToolCall(id="1", name="n", input={"n": number})
    turns = (AssistantTurn(tool_calls=(call,)), ToolTurn(results=(ToolResult(call_id="1", name="n", text="x"),)))
    found = Recorded(turns).result(ToolCall(id="2", name="n", input={"n": number}))
    assert found is not None
    assert (found.call_id, found.text) == ("2", "x")
