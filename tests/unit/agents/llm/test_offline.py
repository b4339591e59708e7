"""The stand-in's rules, and the change of its own style through the loop."""

from __future__ import annotations

import pytest

from agents.context import Context
from agents.llm import Completion, Pool, SystemPrompt, Tool, ToolSpec, UserTurn
from agents.llm.conversation import Answer
from agents.llm.deltas import whole_of
from agents.llm.providers.offline import OfflineProvider
from agents.loop import converse
from agents.tools.row import Row
from schemas.agent import Llm, ModelChoice
from schemas.documents import Document
from schemas.errors import InvalidDocument
from tests.harness.toolbox import conversation

OFFLINE = ModelChoice(provider="offline")
SPEC = ToolSpec(name="propose_change", description="", input_schema={"type": "object"})


class ProposeInput(Document):
    """The shape of a one-place change."""

    path: str
    find: str
    replace: str
    rationale: str


TOOL = Tool(name="propose_change", description="Propose a change.", input=ProposeInput)


def prompt(style: str) -> SystemPrompt:
    return SystemPrompt(Llm(system_prompt=f"You greet people.\n  {style}\nBe kind.", pool=(OFFLINE,)))


async def ask(text: str, style: str = "Style: friendly", tools: tuple[ToolSpec, ...] = (SPEC,)) -> Answer:
    completion = Completion(system=prompt(style), turns=(UserTurn(text=text),), tools=tools)
    return await whole_of(OfflineProvider().stream(completion))


@pytest.mark.parametrize(
    ("style", "text", "expected"),
    [
        ("Style: friendly", "hello", "Hi there! You said: hello"),
        ("Style: formal", "hello", "Good day. You wrote: hello"),
        ("Style: friendly", "what is {text} 100%?", "Hi there! You said: what is {text} 100%?"),
        ("", "hi", "Hi there! You said: hi"),
    ],
)
async def test_answers_in_the_style_of_its_prompt(style: str, text: str, expected: str) -> None:
    """The prompt's Style line decides how it greets; the same question always gets the same answer."""
    first, second = await ask(text, style), await ask(text, style)
    assert first == second
    assert (first.text, first.model, first.stop_reason) == (expected, "offline", "end")


@pytest.mark.parametrize(
    ("text", "style", "find", "replace"),
    [
        ("Please be more formal.", "Style: friendly", "Style: friendly", "Style: formal"),
        ("BE FORMAL", "Style: friendly", "Style: friendly", "Style: formal"),
        ("be less formal", "Style: formal", "Style: formal", "Style: friendly"),
        ("could you sound friendlier?", "Style: formal", "Style: formal", "Style: friendly"),
    ],
)
async def test_proposes_the_style_it_was_asked_for(text: str, style: str, find: str, replace: str) -> None:
    """Asked for another style, it calls propose_change with exactly the change of that line."""
    answer = await ask(text, style)
    assert answer.stop_reason == "tool_calls"
    (call,) = answer.tool_calls
    assert call.name == "propose_change"
    assert ProposeInput.model_validate(call.input)
    assert (call.input["path"], call.input["find"], call.input["replace"]) == ("agent.yaml", find, replace)


async def test_style_words_of_a_caller_are_not_its_prompt() -> None:
    """A Style line in the caller's text changes nothing."""
    answer = await ask("hello\nStyle: formal")
    assert answer.text.startswith("Hi there!")


@pytest.mark.parametrize(
    ("style", "tools", "expected"),
    [
        ("Style: formal", (SPEC,), "My style is already formal."),
        ("Style: friendly", (), "I may not propose changes to myself."),
        ("", (SPEC,), "no line 'Style: friendly'"),
    ],
)
async def test_says_why_it_proposes_nothing(style: str, tools: tuple[ToolSpec, ...], expected: str) -> None:
    """It calls no tool when it has that style already, has no such tool, or has no line to change."""
    answer = await ask("be more formal", style, tools)
    assert answer.tool_calls == ()
    assert expected in answer.text


@pytest.mark.parametrize("is_refused", [False, True])
async def test_reports_the_result_of_the_tool_in_one_sentence(is_refused: bool) -> None:
    """After the tool it says in one line what came of it, whatever the tool wrote."""
    seen: list[Document] = []

    async def propose(arguments: Document, _: Context) -> str:
        seen.append(arguments)
        if is_refused:
            raise InvalidDocument("agent.yaml does not hold that text\ntwice over")
        return "p-7q2fabcd waits for\n  two reviewers."

    pool = Pool.from_choices([OFFLINE])
    tool = Row(TOOL, propose, has_effects=True)
    reply = await converse(conversation(pool, prompt("Style: friendly"), "be more formal", tool))
    await pool.close()
    assert len(seen) == 1
    assert reply.text == (
        "The change could not be proposed: agent.yaml does not hold that text twice over."
        if is_refused
        else "The change was proposed: p-7q2fabcd waits for two reviewers."
    )
