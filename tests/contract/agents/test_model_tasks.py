"""Tasks of an agent with a model, over a real server and real HTTP: text as it comes, cancelling, deadlines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from agents import llm
from agents.context import Context
from agents.skill import Restarted, skill
from agents.tools import catalogue
from agents.tools.row import Row
from bus.requests.caller import Caller
from schemas import a2a
from schemas.documents import Document
from schemas.errors import DeadlineExceeded
from tests.harness.agent import Agent, caller, saying, serving, trail
from tests.harness.fake_llm import CallTool, Fail, FailMidway, FakeLlm, Gate, Held, Say
from tests.harness.fleet import Bench, bench, until
from tests.harness.model_agent import directly, filled_in

AGENT = """\
agent:
  id: greeter
  description: Talks.
  version: 1.0.0
  skills:
    - {id: talk, name: Talk, description: Talks.}
    - {id: count, name: Count, description: Counts., output: {type: object, properties: {n: {type: integer}}}}
llm:
  system_prompt: You talk.
  pool:
    - {provider: openai, model: m-1, api_key: 'file:KEY', base_url: 'URL'}
    - {provider: anthropic, model: m-2, api_key: 'file:KEY', base_url: 'ANTHROPIC'}
tools: [bash]
"""


ROUTER = """agent: {id: concierge, description: Passes on.}
routing: {strategy: static, routes: [{agent: greeter}]}
"""


class Command(Document):
    """Input of the tool that stands in for `bash`."""

    command: str = ""


@dataclass
class Stage:
    """A model agent, the server behind it, somebody who asks, and what its tool does."""

    bench: Bench
    agent: Agent
    fake: FakeLlm
    ops: Caller
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    holds: bool = False

    async def run(self, _: Any, __: Context) -> str:
        """The tool."""
        self.begun.set()
        try:
            if self.holds:
                await asyncio.Event().wait()
        finally:
            self.stopped.set()
        return "ran"

    async def begin(self, text: str = "go") -> a2a.Task:
        task = (await self.ops.send_message("greeter", saying(text, return_immediately=True))).task
        assert task is not None
        return task

    async def ended(self, task: str) -> a2a.Task:
        async def look() -> a2a.Task | None:
            found = await self.ops.get_task("greeter", task)
            return found if found.is_final else None

        found = await until(look)
        assert found is not None
        return found


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    folder = tmp_path_factory.mktemp("models")
    with pytest.MonkeyPatch.context() as patch:
        directly(patch)
        async with FakeLlm() as fake:
            file = filled_in(AGENT, fake, folder)
            stages: list[Stage] = []
            tool = llm.Tool(name="bash", description="Runs.", input=Command)

            async def run(arguments: Any, context: Context) -> str:
                return await stages[0].run(arguments, context)

            row = Row(tool, run, has_effects=True)
            patch.setitem(catalogue.MAKERS, "bash", lambda *_: row)
            async with (
                bench(folder, agents={"greeter": (file, ""), "concierge": (ROUTER, "")}) as running,
                serving(running, "greeter") as agent,
            ):
                stages.append(Stage(running, agent, fake, await caller(running)))
                yield stages[0]


@pytest_asyncio.fixture(loop_scope="module")
async def stage(shared: Stage) -> Stage:
    shared.fake.script.clear()
    shared.fake.requests.clear()
    shared.begun.clear()
    shared.stopped.clear()
    shared.holds = False
    return shared


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def _updates(
    stage: Stage, text: str, *, skill: str = "", agent: str = "greeter"
) -> AsyncIterator[a2a.StreamResponse]:
    async with aclosing(stage.ops.stream(agent, "SendStreamingMessage", saying(text, skill=skill))) as frames:
        async for frame in frames:
            yield frame


def _text(artifact: a2a.Artifact) -> str:
    return "".join(part.text for part in artifact.parts if isinstance(part.text, str))


def _answer(task: a2a.Task) -> str:
    assert task.status.state == a2a.COMPLETED, task.status
    (artifact,) = task.artifacts
    return _text(artifact)


async def _seen(stage: Stage, *, agent: str = "greeter", **more: Any) -> tuple[list[tuple[str, bool]], a2a.Task]:
    """The text of each update of the answer with whether it was appended, and the task at its end."""
    seen, task = list[tuple[str, bool]](), ""
    async for frame in _updates(stage, "go", agent=agent, **more):
        task = frame.task.id if frame.task else task
        if frame.artifact_update is not None:
            seen.append((_text(frame.artifact_update.artifact), frame.artifact_update.append))
    return seen, await stage.ops.get_task(agent, task)


async def test_text_goes_out_as_it_comes(stage: Stage) -> None:
    """A caller has the beginning of an answer while its model still writes; the artifact is the whole."""
    gate, pieces = Gate(), list[str]()
    stage.fake.script = [Held(Say("one two three four five six"), gate, is_half_sent=True)]
    task = ""
    async for frame in _updates(stage, "count"):
        task = frame.task.id if frame.task else task
        if frame.artifact_update is not None:
            if not pieces:
                assert not gate.release.is_set()
                gate.release.set()
            pieces.append(_text(frame.artifact_update.artifact))
    assert len(pieces) > 1
    assert "".join(pieces) == "one two three four five six"
    assert _answer(await stage.ops.get_task("greeter", task)) == "one two three four five six"


async def test_what_came_before_a_failover_is_void(stage: Stage) -> None:
    """Whoever watches sees that another model takes over; the answer is the other model's alone."""
    stage.fake.script = [FailMidway(Say("Paris, of course."), Fail(529, "overloaded_error")), Say("Rome.")]
    seen, task = await _seen(stage)
    assert _answer(task) == "Rome."
    (mark,) = [number for number, (text, _) in enumerate(seen) if text.startswith("[the model failed (overload): ")]
    assert seen[mark][0].endswith(" answers from the start]\n")
    assert [append for _, append in seen[mark : mark + 2]] == [False, False]
    assert "".join(text for text, _ in seen[mark + 1 :]) == "Rome."


@skill(description="Streams another agent's answer.")
async def listens(request: str, ctx: Context) -> str:
    shown: list[list[str]] = [[]]
    async for piece in ctx.ask_stream("greeter", request, restarts=True):
        if isinstance(piece, Restarted):
            shown.append([])
        else:
            shown[-1].append(piece)
    plain = [piece async for piece in ctx.ask_stream("greeter", request)]
    return " | ".join("".join(pieces) for pieces in [*shown, plain])


async def test_who_asks_for_pieces_hears_which_are_void(stage: Stage) -> None:
    """Twice: for the mark, and for the new answer. Who does not want to hear it gets the pieces alone."""
    broken = FailMidway(Say("Paris, of course."), Fail(529, "overloaded_error"))
    stage.fake.script = [broken, Say("Rome."), Say("Oslo.")]
    async with serving(stage.bench, "concierge", listens):
        response = await stage.ops.send_message("concierge", saying("go"))
    assert response.message is not None
    before, mark, answer, plain = response.message.text().split(" | ")
    assert "Paris, of course.".startswith(before)
    assert before
    assert mark.startswith("[the model failed (overload): ")
    assert (answer, plain) == ("Rome.", "Oslo.")


async def test_a_router_begins_again_where_the_agent_behind_it_does(stage: Stage) -> None:
    """What is void behind it is no part of its own answer, and whoever watches it sees so."""
    stage.fake.script = [FailMidway(Say("Paris, of course."), Fail(529, "overloaded_error")), Say("Rome.")]
    async with serving(stage.bench, "concierge") as router:
        seen, task = await _seen(stage, agent=router.id)
    assert _answer(task) == "Rome."
    (mark,) = [number for number, (text, _) in enumerate(seen) if text.startswith("[the model failed (overload): ")]
    assert [append for _, append in seen[mark : mark + 2]] == [False, False]


async def test_text_before_a_tool_is_seen_and_no_part_of_the_answer(stage: Stage) -> None:
    """It is on its way before the tool runs."""
    stage.fake.script = [CallTool("bash", {}, text="Let me look."), Say("Done.")]
    seen, task = await _seen(stage)
    assert _answer(task) == "Done."
    assert "".join(text for text, _ in seen) == "Let me look.Done."


async def test_what_has_to_match_a_schema_comes_as_a_whole(stage: Stage) -> None:
    """Half of a JSON value is no use to anybody."""
    stage.fake.script = [Say('{"n": 1}')]
    seen, task = await _seen(stage, skill="count")
    assert seen == [("", False)]
    assert task.artifacts[0].parts[0].data == {"n": 1}


async def test_cancelling_a_task_closes_the_request_to_its_model(stage: Stage) -> None:
    """The provider's connection ends with the task, in the middle of an answer, and the trail knows."""
    gate = Gate()
    stage.fake.script = [Held(Say("one two three four five six"), gate, is_half_sent=True)]
    task = await stage.begin()
    await gate.reached.wait()
    canceled = await stage.ops.cancel_task("greeter", task.id)
    assert canceled.status.state == a2a.CANCELED
    await asyncio.wait_for(gate.abandoned.wait(), 20)
    events = await trail(stage.bench, stage.agent)
    last = [event.data for event in events if event.short_type == "conversation.stepped"][-1]
    assert (last.action, last.outcome, last.metadata["from"]) == ("cancelled", "unknown", "send_message")
    assert [event.data.outcome for event in events if event.short_type == "llm.called"][-1] == "unknown"


async def test_cancelling_a_task_stops_its_tool(stage: Stage) -> None:
    """The tool that runs is cancelled, its end is on the trail as unknown, and the model is asked nothing more."""
    stage.fake.script = [CallTool("bash", {}), Say("never")]
    stage.holds = True
    task = await stage.begin()
    await stage.begun.wait()
    await stage.ops.cancel_task("greeter", task.id)
    await asyncio.wait_for(stage.stopped.wait(), 20)
    finished = (await trail(stage.bench, stage.agent, kind="tool.finished"))[-1].data
    assert (finished.action, finished.outcome, finished.reason) == ("bash", "unknown", "canceled")
    assert len(stage.fake.requests) == 1


async def _out_of_time(stage: Stage, reached: asyncio.Event) -> None:
    """Ask with so little time that the answer is late, and enough that the work `reached` where it is held."""
    for timeout_s in (0.5, 2, 8, 32):
        with pytest.raises(DeadlineExceeded):
            await stage.ops.send_message("greeter", saying("go"), timeout_s=timeout_s)
        if reached.is_set():
            return
    pytest.fail("the work never began")


async def test_the_deadline_of_a_request_ends_the_call_of_its_model(stage: Stage) -> None:
    """A model is not waited for longer than the caller waits: the request to it is closed, too."""
    gate = Gate()
    stage.fake.script = [Held(Say("late"), gate)] * 4
    await _out_of_time(stage, gate.reached)
    await asyncio.wait_for(gate.abandoned.wait(), 20)


async def test_the_deadline_of_a_request_ends_its_tool(stage: Stage) -> None:
    """A tool ends with the request that it runs for."""
    stage.fake.script = [CallTool("bash", {})] * 4
    stage.holds = True
    await _out_of_time(stage, stage.begun)
    await asyncio.wait_for(stage.stopped.wait(), 20)


async def test_a_message_that_comes_meanwhile_makes_the_answer_begin_again(stage: Stage) -> None:
    """What was given of the first answer is void; the artifact is the answer to both."""
    gate = Gate()
    stage.fake.script = [Held(Say("Paris is the capital."), gate, is_half_sent=True), Say("Paris and Rome.")]
    task = await stage.begin("Capital of France?")
    await gate.reached.wait()
    more = saying("And of Italy?", return_immediately=True)
    more = msgspec.structs.replace(more, message=msgspec.structs.replace(more.message, task_id=task.id))
    await stage.ops.send_message("greeter", more)
    gate.release.set()
    assert _answer(await stage.ended(task.id)) == "Paris and Rome."
