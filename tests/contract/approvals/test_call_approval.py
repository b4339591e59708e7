"""A tool that people decide about, through everything: model, task, record, reviewers' own commands, and the end."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from agents.tools.errors import ToolFailed
from agents.tools.files.workspace import Workspace
from approvals.reviewing.desk import ProposalDesk
from bus.requests.caller import Caller
from schemas import a2a, names
from schemas.errors import Unavailable
from tests.contract.approvals.approvals_bench import Approvals
from tests.contract.approvals.test_asking_task import begun, in_task_state, result, said_of
from tests.harness.agent import caller, saying, serving, trail
from tests.harness.fake_llm import CallTool, FakeLlm, Say
from tests.harness.fleet import bench, until
from tests.harness.model_agent import filled_in

CHILD = Path(__file__).parents[2] / "harness" / "mcp_child.py"
AGENT = """agent: {id: greeter, description: Greets., version: 1.0.0}
llm:
  system_prompt: You greet.
  pool: [{provider: openai, model: m, api_key: 'file:KEY', base_url: 'URL'}]
tools: {write: {approval: always}, read: {}}
"""
MCP = """mcp:
  deeds: {command: 'PYTHON', args: ['CHILD', 'FOLDER'], tools: [append], needs_approval: [append]}
"""
APPEND = CallTool("mcp__deeds__append", {"line": "hello"})
WRITE = CallTool("write", {"path": "a.txt", "content": "hello\nworld"})


@pytest.fixture
async def approvals(tmp_path: Path, fake: FakeLlm, request: pytest.FixtureRequest) -> AsyncIterator[Approvals]:
    """The fleet with a greeter that writes only what people allow, and the approval service.

    Its parameter is what the greeter's file says besides.
    """
    (tmp_path / "tools.json").write_text(
        json.dumps([{"name": "append", "description": "Appends a line.", "inputSchema": {"type": "object"}}])
    )
    file = filled_in(AGENT, fake, tmp_path) + str(getattr(request, "param", ""))
    for word, value in {"PYTHON": sys.executable, "CHILD": CHILD, "FOLDER": tmp_path}.items():
        file = file.replace(word, str(value))
    async with bench(tmp_path, agents={"greeter": (file, "")}) as fleet:
        running = Approvals(fleet)
        await running.start()
        yield running
        await running.close()


def written(approvals: Approvals) -> Path:
    """The file that the call is about."""
    return approvals.bench.home.state("greeter") / "workspace" / "a.txt"


async def waiting(approvals: Approvals, calls: Caller) -> tuple[str, dict[str, Any]]:
    """A task that waits for people, and what they are asked."""
    task = await begun(calls, "please")
    (case,) = await approvals.ask_json("list")
    return task.id, case


async def allow(approvals: Approvals, case: dict[str, Any]) -> None:
    """Both reviewers, as they type it."""
    for who in ("reviewer", "second"):
        said = await approvals.type("approve", f"{case['id']} {case['digest']} fine", who=who)
        assert said.startswith("OK "), said


def told(fake: FakeLlm, number: int = -1) -> str:
    """The last tool's result in a question to the model."""
    messages = fake.requests[number].body["messages"]
    return str(next(each["content"] for each in reversed(messages) if each["role"] == "tool"))


class Deed(NamedTuple):
    """A call, what reviewers are shown of it, where its effect is seen, and what the model is told."""

    call: CallTool
    shown: str
    done: Callable[[Approvals], Path]
    effect: str
    told: str


DEEDS = (
    Deed(WRITE, "  content: hello\n    | world\n  path: a.txt\n", written, "hello\nworld", "wrote 11 bytes to a.txt"),
    Deed(APPEND, "  line: hello\n", lambda at: at.bench.home.root.parent / "appended", "hello\n", "appended hello"),
)
"""Of the product, and of a server that somebody else wrote."""


@pytest.mark.parametrize("approvals", [MCP], indirect=True, ids=["with an MCP server"])
async def test_a_call_waits_for_people_and_runs_once(
    approvals: Approvals, fake: FakeLlm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They read it whole with the plain command, two of them allow it, it runs so, and the model goes on with its result."""
    monkeypatch.setattr("agents.mcp.servers.PATIENCE_S", 60.0)
    for deed in DEEDS:
        await _decided_and_done(approvals, fake, deed)


async def _decided_and_done(approvals: Approvals, fake: FakeLlm, deed: Deed) -> None:
    name = deed.call.name
    fake.requests.clear()
    fake.script = [deed.call, Say("done")]
    async with serving(approvals.bench, "greeter") as agent:
        calls = await caller(approvals.bench)
        task, case = await waiting(approvals, calls)
        page = await approvals.type("show", case["id"])
        assert f"asks to run its tool {name} once" in " ".join(page.split())
        assert deed.shown in page
        assert "at work for ops" in page
        assert "not finished yet" not in page
        before = await trail(approvals.bench, agent, kind="tool.intended")
        assert name not in [event.data.action for event in before]
        assert not deed.done(approvals).exists()
        applier = await approvals.applier()
        await applier.start()
        await allow(approvals, case)
        ended = await in_task_state(calls, task, a2a.COMPLETED)
        await approvals.end(applier)
        assert result(ended) == "done"
        assert deed.done(approvals).read_text() == deed.effect
        assert deed.told in told(fake)
        assert len(fake.requests) == 2  # the model was not asked for the call again
        kept = ended.metadata[names.CHANGES_KEY]
        assert kept["asked"] == [{"proposal": case["id"], "digest": case["digest"], "stage": "ended"}]
        assert await approvals.state(case["id"]) == "allowed"
        intents = await trail(approvals.bench, agent, kind="tool.intended")
        assert [event.data.action for event in intents].count(name) == 1
        decided = [event.data.action for event in await approvals.events("proposal.decided")]
        assert set(decided) == {"allowed"}


async def test_what_is_rejected_does_not_run(approvals: Approvals, fake: FakeLlm) -> None:
    """One veto is enough, also after an approval; the model hears the reason, and what it asks next is asked anew."""
    fake.script = [WRITE, WRITE, Say("I may not")]
    async with serving(approvals.bench, "greeter"):
        calls = await caller(approvals.bench)
        task, case = await waiting(approvals, calls)
        await approvals.type("approve", f"{case['id']} {case['digest']} fine")
        await approvals.type("reject", f"{case['id']} not today", who="second")

        async def second() -> dict[str, Any] | None:
            return next((each for each in await approvals.ask_json("list") if each["id"] != case["id"]), None)

        again = await until(second)
        assert again is not None
        assert "was rejected, so it was not run (not today)" in told(fake)
        late = await approvals.type("approve", f"{case['id']} {case['digest']} yes after all")
        assert late.startswith("ERR ")
        wrong = await approvals.type("approve", f"{again['id']} {case['digest']} the old digest")
        assert wrong.startswith("ERR the digest is not this proposal's")
        await in_task_state(calls, task, a2a.AUTH_REQUIRED)
        await approvals.type("reject", f"{again['id']} no")
        assert result(await in_task_state(calls, task, a2a.COMPLETED)) == "I may not"
        assert not written(approvals).exists()


@contextmanager
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[asyncio.Event]:
    """Whatever writes hangs, and the event is set; at the end it fails."""
    reached, release, loop = asyncio.Event(), threading.Event(), asyncio.get_running_loop()

    def hang(*_: Any) -> None:
        loop.call_soon_threadsafe(reached.set)
        release.wait(60)
        raise ToolFailed("the process was killed")

    with monkeypatch.context() as planted:
        planted.setattr(Workspace, "require_room", hang)
        yield reached
        release.set()


async def test_killed_while_people_decide_it_runs_at_another_instance(approvals: Approvals, fake: FakeLlm) -> None:
    """Once, and with what was allowed: the model is not asked for the call again."""
    fake.script = [WRITE, Say("done")]
    calls = await caller(approvals.bench)
    async with serving(approvals.bench, "greeter") as agent:
        task, case = await waiting(approvals, calls)
        await agent.die()
        await allow(approvals, case)
    async with serving(approvals.bench, "greeter", slot="1"):
        assert result(await in_task_state(calls, task, a2a.COMPLETED)) == "done"
    assert written(approvals).read_text() == "hello\nworld"
    assert len(fake.requests) == 2


async def test_killed_while_it_runs_it_does_not_run_again(
    approvals: Approvals, fake: FakeLlm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next instance finds that it has begun, and says so; nothing is done twice."""
    fake.script = [WRITE, Say("I do not know whether it is done")]
    calls = await caller(approvals.bench)
    async with serving(approvals.bench, "greeter") as agent:
        task, case = await waiting(approvals, calls)
        with hanging(monkeypatch) as reached:
            await allow(approvals, case)
            await asyncio.wait_for(reached.wait(), 20)
            await agent.die()
    async with serving(approvals.bench, "greeter", slot="1"):
        ended = await in_task_state(calls, task, a2a.COMPLETED)
    assert "outcome unknown" in told(fake)
    assert result(ended) == "I do not know whether it is done"
    assert not written(approvals).exists()


async def test_a_canceled_task_runs_nothing(approvals: Approvals, fake: FakeLlm) -> None:
    """People are not asked any more, and what they say all the same has no effect."""
    fake.script = [WRITE]
    async with serving(approvals.bench, "greeter"):
        calls = await caller(approvals.bench)
        task, case = await waiting(approvals, calls)
        assert f"approvals.show {case['id']}" in said_of(await calls.get_task("greeter", task))
        await calls.cancel_task("greeter", task)

        async def is_withdrawn() -> bool:
            return await approvals.state(case["id"]) == "withdrawn"

        await until(is_withdrawn)
        late = await approvals.type("approve", f"{case['id']} {case['digest']} fine")
        assert late.startswith("ERR ")
        assert not written(approvals).exists()


async def test_a_request_without_a_task_is_told(approvals: Approvals, fake: FakeLlm) -> None:
    """The model can say that a task is needed; people are asked nothing. Other tools are as ever."""
    fake.script = [WRITE, CallTool("read", {}), Say("ask for a task")]
    async with serving(approvals.bench, "greeter"):
        calls = await caller(approvals.bench)
        answer = await calls.send_message("greeter", saying("please"))
        assert answer.message is not None
        assert answer.message.text() == "ask for a task"
        assert "only a task can wait" in told(fake, 1)
        assert "(empty)" in told(fake, 2)
        assert await approvals.ask_json("list") == []


async def test_others_do_not_decide_nor_ask(approvals: Approvals, fake: FakeLlm) -> None:
    """Who is no reviewer has no subject to vote on; another agent neither reads the proposal nor takes it back."""
    fake.script = [WRITE]
    async with serving(approvals.bench, "greeter"):
        calls = await caller(approvals.bench)
        task, case = await waiting(approvals, calls)
        for who in ("ops", "greeter", "textstats"):
            person = await approvals.bench.attacker(who, names.OWN_CREDENTIAL)
            body = f"{case['id']} {case['digest']} mine".encode()
            for subject in (
                "approvals.approve",
                "approvals.review.reviewer.approve",
                f"approvals.review.{who}.approve",
            ):
                await person.client.publish(subject, body)
            await person.client.flush(timeout=5)
        other = ProposalDesk(await approvals.bench.connect("textstats", names.OWN_CREDENTIAL), "textstats")
        with pytest.raises(Unavailable):
            await other.history(case["id"])
        assert (await approvals.ask_json("show", case["id"]))["votes"] == []
        assert (await calls.get_task("greeter", task)).status.state == a2a.AUTH_REQUIRED
        assert not written(approvals).exists()
