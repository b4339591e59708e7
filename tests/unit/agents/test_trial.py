"""`agents.testing`: an agent is tried without a bus, and what it does is recorded."""

from __future__ import annotations

import io
import re
import unittest
from pathlib import Path

import msgspec
import pytest

from agents.asking import AskedBack
from agents.home import EXAMPLE
from agents.llm import Completion
from agents.llm.errors import KeyRefused, Overloaded
from agents.testing import calls, trial
from approvals.change.edits import Edit
from schemas.errors import InvalidArgument, PermissionDenied, Unavailable
from tests.harness.fleet import CHECKOUT

HANDLER = """
from collections.abc import AsyncIterator

import msgspec

from agents.skill import Context, skill
from approvals.change.edits import Edit


class CountInput(msgspec.Struct):
    text: str


class Counts(msgspec.Struct):
    words: int


@skill(description="Counts words.")
async def count(request: CountInput, ctx: Context) -> Counts:
    return Counts(words=len(request.text.split()))


@skill(description="Tells a story.")
async def story(request: str, ctx: Context) -> AsyncIterator[str]:
    for word in request.split():
        yield f"{word} "


@skill(description="Takes an order.")
async def order(request: str, ctx: Context) -> str:
    size = await ctx.input_required("Which size?")
    colour = await ctx.input_required("Which colour?")
    await ctx.progress("packing")
    await ctx.artifact("label", f"{request}, {size.text()}")
    return f"{request} in {size.text()} and {colour.text()} for {ctx.caller}"


@skill(description="Walks.")
async def walk(request: str, ctx: Context) -> str:
    said = [request]
    while said[-1] != "stop":
        said.append((await ctx.next_message()).text())
    return " ".join(said)


@skill(description="Asks another.")
async def buy(request: str, ctx: Context) -> str:
    counted = await ctx.ask("textstats", CountInput(text=request), Counts, skill="count")
    pieces = [piece async for piece in ctx.ask_stream("teller", request)]
    return f"{counted.words} {''.join(pieces)}"


@skill(description="Changes itself.")
async def change(request: str, ctx: Context) -> str:
    return (await ctx.propose_change([Edit("agent.yaml", "a", "b")], request)).state


SKILLS = [count, story, order, walk, buy, change]
"""
MODEL = """\
agent: {id: helper, description: Helps.}
llm: {system_prompt: You help., pool: [{provider: openai, model: m, api_key: "env:NO_SUCH_KEY"}]}
tools: [propose_change]
memory: {}
"""


class CountInput(msgspec.Struct):
    """As the handler's."""

    text: str


class Counts(msgspec.Struct):
    """As the handler's."""

    words: int


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An agent with a skill of each kind."""
    (tmp_path / "agent.yaml").write_text("agent: {id: probe, description: d}\nhandler: handler.py:SKILLS\n")
    (tmp_path / "handler.py").write_text(HANDLER)
    return tmp_path


@pytest.fixture
def helper(tmp_path: Path) -> Path:
    """An agent with a model, a tool and a memory, and no key."""
    (tmp_path / "agent.yaml").write_text(MODEL)
    return tmp_path


async def test_a_typed_skill_is_asked_with_values(folder: Path) -> None:
    """As its caller would: values in, values out, and what does not fit is refused before the function runs."""
    async with trial(folder) as agent:
        assert await agent.ask(CountInput(text="one two"), Counts) == Counts(words=2)
        with pytest.raises(InvalidArgument, match=r"takes a data part"):
            await agent.ask("one two", Counts, skill="count")
        with pytest.raises(InvalidArgument, match="there is no skill 'cuont'"):
            await agent.ask("x", skill="cuont")
        assert [skill.id for skill in agent.card.skills][:2] == ["count", "story"]


async def test_pieces_questions_progress_and_artifacts_are_kept(folder: Path) -> None:
    """What a caller would see on the way to the answer."""
    async with trial(folder) as agent:
        assert await agent.ask("a b", skill="story") == "a b "
        assert agent.pieces == ("a ", "b ")
        agent.caller = "ann"
        assert await agent.ask("shirt", skill="order", replies=["large", "red"]) == "shirt in large and red for ann"
        assert agent.progress == ("packing",)
        assert agent.artifacts["label"].parts[0].text == "shirt, large"
        with pytest.raises(AskedBack) as asked:
            await agent.ask("shirt", skill="order", replies=["large"])
        assert asked.value.question == "Which colour?"
        assert await agent.ask("go", skill="walk", adds=["left", "stop"]) == "go left stop"


async def test_other_agents_answer_as_the_test_says(folder: Path) -> None:
    """What is asked of them is kept; an agent of which the test says nothing is not there."""
    others = {"textstats": lambda request: Counts(words=len(request.data["text"])), "teller": "a story"}
    async with trial(folder, others=others) as agent:
        assert await agent.ask("abc", skill="buy") == "3 a story"
        assert [(request.agent, request.skill, request.text, request.data) for request in agent.asked] == [
            ("textstats", "count", "", {"text": "abc"}),
            ("teller", "", "abc", None),
        ]
    async with trial(folder, others={"textstats": PermissionDenied("not for you")}) as agent:
        with pytest.raises(PermissionDenied):
            await agent.ask("abc", skill="buy")
    async with trial(folder) as agent:
        with pytest.raises(Unavailable, match="nobody serves textstats here"):
            await agent.ask("abc", skill="buy")


@pytest.mark.parametrize("outcome", ["applied", "rejected"])
async def test_changes_end_as_the_test_says(folder: Path, outcome: str) -> None:
    """The function runs again with what became of its proposal, as after people decided."""
    async with trial(folder, proposals=outcome) as agent:
        assert await agent.ask("why", skill="change") == outcome
        (proposed,) = agent.proposed
        assert (proposed.changes, proposed.rationale) == ((Edit("agent.yaml", "a", "b"),), "why")


async def test_the_model_says_what_is_written_down(helper: Path) -> None:
    """No key is needed; what the model was asked and told is there to be looked at."""
    change = calls("propose_change", path="agent.yaml", find="a", replace="b", rationale="r")
    async with trial(helper, model=[change, calls("nothing") + calls("nowhere", a=1), "Done."]) as agent:
        assert await agent.ask("please") == "Done."
        assert agent.model is not None
        assert all(question.system.text.startswith("You help.") for question in agent.model.questions)
        assert [(result.name, result.is_error) for result in agent.tool_results] == [
            ("propose_change", False),
            ("nothing", True),
            ("nowhere", True),
        ]
        assert [event.facts["outcome"] for event in agent.events if event.name == "tool.finished"] == ["success"]


async def test_a_turn_may_fail_or_be_made_of_the_question(helper: Path) -> None:
    """A call fails as the product knows it, and is tried again without waiting; a function sees the question."""

    def echo(question: Completion) -> str:
        return f"{len(question.turns)} turns"

    async with trial(
        helper, model=[echo, echo, Overloaded("here", "busy"), "three", KeyRefused("here", "no")]
    ) as agent:
        assert await agent.ask("one", context_id="c") == "1 turns"
        assert await agent.ask("two", context_id="c") == "3 turns"
        assert await agent.ask("three") == "three"
        with pytest.raises(Unavailable, match="no model could answer"):
            await agent.ask("four")


async def test_a_script_has_as_many_turns_as_are_asked_for(helper: Path) -> None:
    """One too few and one too many are failures of the test."""
    async with trial(helper, model=["one"]) as agent:
        await agent.ask("a")
        with pytest.raises(AssertionError, match=r"asked for the 2\. time, and the script has 1 turns"):
            await agent.ask("b")
    with pytest.raises(AssertionError, match="1 turns of the script were not asked for: \\('two',\\)"):
        async with trial(helper, model=["one", "two"]) as agent:
            await agent.ask("a")


async def test_without_a_script_no_model_is_called() -> None:
    """The built-in stand-in answers, whatever keys there are."""
    async with trial(EXAMPLE / "agents" / "greeter", environment={"OPENAI_API_KEY": "x"}) as agent:
        assert await agent.ask("hello") == "Hi there! You said: hello"
        assert agent.model is None


def test_the_tests_on_the_page_pass(tmp_path: Path) -> None:
    """The page's test, beside an agent as the page speaks of, run as unittest runs it."""
    (test,) = re.findall(
        r"^```python\n(.*?)^```$", (CHECKOUT / "agents/TESTING.md").read_text(), re.MULTILINE | re.DOTALL
    )
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_it.py").write_text(test)
    (tmp_path / "agent.yaml").write_text(MODEL.replace("You help.", '"You help. Style: friendly"'))
    names = {"__file__": str(tmp_path / "tests" / "test_it.py"), "__name__": "page"}
    exec(compile(test, names["__file__"], "exec"), names)  # noqa: S102  the page's code
    suite = unittest.TestLoader().loadTestsFromTestCase(names["Helper"])  # type: ignore[arg-type]
    result = unittest.TextTestRunner(stream=io.StringIO()).run(suite)
    assert (result.testsRun, result.errors, result.failures) == (2, [], [])
