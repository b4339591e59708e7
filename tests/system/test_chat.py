"""`agentbus chat`: at a real terminal, from a pipe, and for a program; the agent asks a model over real HTTP."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from schemas import a2a
from schemas.sessions import Deleted, SessionRequest, StoredData
from tests.harness.agent import caller, serving
from tests.harness.command import agentbus
from tests.harness.fake_llm import CallTool, FakeLlm, Gate, Held, Say
from tests.harness.fleet import CHECKOUT, Bench, bench
from tests.harness.model_agent import directly, filled_in
from tests.harness.needs import needs_script
from tests.harness.typist import CTRL_C, CTRL_D, typing

AGENT = """\
agent: {id: greeter, description: Remembers., version: 1.0.0}
llm:
  system_prompt: You remember.
  pool: [{provider: openai, model: m, api_key: 'file:KEY', base_url: 'URL'}]
memory: {context_window_size: 2000}
tools: [note]
limits: {requests_per_s: 0}
"""


class Stage(NamedTuple):
    """A fleet's home, and the model that its greeter asks."""

    bench: Bench
    fake: FakeLlm

    @property
    def arguments(self) -> tuple[str, ...]:
        """What each chat is typed with."""
        return "chat", "greeter", "--home", str(self.bench.home.root)


@pytest.fixture
async def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    directly(monkeypatch)
    async with FakeLlm() as fake:
        file = filled_in(AGENT, fake, tmp_path)
        async with bench(tmp_path, agents={"greeter": (file, "")}) as running, serving(running, "greeter"):
            yield Stage(running, fake)


async def piped(text: str, *arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command that is fed `text`."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agents.cli", *arguments, cwd=CHECKOUT,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(text.encode()), 40)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def filed(text: str, *arguments: str) -> tuple[int, str, str]:
    """The same of one that reads a file, or the null device when there is no text."""
    ended = await asyncio.to_thread(agentbus, *arguments, stdin=text)
    return ended.returncode, ended.stdout, ended.stderr


@needs_script
async def test_a_conversation_at_a_terminal(stage: Stage, tmp_path: Path) -> None:
    """Answers, commands, and Ctrl-C: once it stops the answer down to the model's request, twice it leaves."""
    half, gate = Gate(), Gate()
    hello = Held(Say("Hello there, my very dear friend Ada."), half, is_half_sent=True)
    stage.fake.script = [hello, Say("You are Ada."), Held(Say("never"), gate), Say("Who is that?")]
    async with typing(*stage.arguments) as typist:
        await typist.sees("> ")
        typist.types("I am Ada.\n")
        await typist.sees("Hello there")  # the rest is not sent yet
        half.release.set()
        await typist.sees(" Ada.")
        await typist.sees("1 %\x1b[0m of 2,000 tokens")  # what the model's server counted
        await typist.sees("> ")
        typist.types("Who am I?\n")
        await typist.sees("You are Ada.")
        assert [message["content"] for message in stage.fake.requests[-1].body["messages"][1:]] == [
            "I am Ada.", "Hello there, my very dear friend Ada.", "Who am I?",
        ]  # fmt: skip
        await typist.sees("> ")
        typist.types("/cost\n")
        await typist.sees("2 answers, 22 input tokens, 14 output tokens, unknown cost")
        typist.types("/help\n")
        await typist.sees("/export")
        typist.types("/nonsense\n")
        await typist.sees("there is no command /nonsense")
        typist.types(f"/export {tmp_path / 'talk.json'}\n")
        await typist.sees("wrote ")
        await typist.sees("> ")
        typist.types("Tell me a long story.\n")
        await gate.reached.wait()
        typist.types(CTRL_C)
        await typist.sees("stopped; Ctrl-C again leaves")
        await asyncio.wait_for(gate.abandoned.wait(), 20)
        typist.types("/new\n")
        await typist.sees("a new conversation")
        await typist.sees("> ")
        typist.types("Who am I?\n")
        await typist.sees("Who is that?")
        await typist.sees("> ")
        typist.types(CTRL_C)
        await typist.sees("Ctrl-C again leaves, as does /quit")
        typist.types(CTRL_C)
        assert await typist.code() == 130
    written = json.loads((tmp_path / "talk.json").read_text())
    assert [message["text"] for message in written["messages"]] == [
        "I am Ada.",
        "Hello there, my very dear friend Ada.",
        "Who am I?",
        "You are Ada.",
    ]
    assert "\x1b[" in typist.seen
    assert "Traceback" not in typist.seen


@needs_script
async def test_leaving_is_no_error(stage: Stage) -> None:
    """Ctrl-D ends with 0, and it is said how to go on."""
    async with typing(*stage.arguments, "--context", "c-9") as typist:
        await typist.sees("> ")
        typist.types(CTRL_D)
        assert await typist.code() == 0
    assert "--context c-9" in typist.seen


async def test_a_pipe_gets_the_answers_alone(stage: Stage) -> None:
    """One message a line; nothing but answers on standard output, and no colour."""
    stage.fake.script = [Say("Hello Ada.\nNice day."), Say("You are \x1b[31mAda.")]
    code, out, err = await piped("I am Ada.\n\nWho am I?", *stage.arguments)
    assert (code, err) == (0, "")
    assert out == "Hello Ada.\nNice day.\nYou are \\x1b[31mAda.\n"


async def test_a_program_gets_a_line_for_each_event(stage: Stage) -> None:
    """Updates as on the wire, then the whole answer; a conversation goes on by its context; /quit leaves what follows."""
    stage.fake.script = [Say("Hello."), Say("Again.")]
    code, out, _ = await filed("one\n/cost\n/quit\nnever\n", *stage.arguments, "--json", "--context", "c-1")
    lines: list[dict[str, Any]] = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert lines[0]["task"]["contextId"] == "c-1"
    assert lines[-2]["answer"]["text"] == "Hello."
    assert lines[-2]["answer"]["state"] == "completed"
    assert lines[-2]["answer"]["metadata"]["urn:agentbus:memory"] == {"context_used": 18, "context_window": 2000}
    assert lines[-1]["note"].startswith("1 answer, ")
    await filed("two\n", *stage.arguments, "--json", "--context", "c-1")
    assert [message["content"] for message in stage.fake.requests[-1].body["messages"][1:]] == ["one", "Hello.", "two"]


async def test_errors_have_exit_codes(stage: Stage) -> None:
    """1: an answer failed, and what follows is said all the same; 69: the agent is away; 0: nothing was asked."""
    code, out, err = await filed("one\ntwo\n", *stage.arguments)  # the model's script is empty
    assert (code, out) == (1, "")
    assert err.count("agentbus: failed: ") == 2
    away = ("chat", "textstats", *stage.arguments[2:])
    code, out, err = await filed("hello\n", *away)
    assert (code, out) == (69, "")
    assert "nobody serves textstats" in err
    code, out, _ = await filed("hello\n", *away, "--json")
    assert code == 69
    assert json.loads(out)["error"]["status"] == "UNAVAILABLE"
    assert await filed("", *stage.arguments) == (0, "", "")


async def test_what_is_remembered_is_its_callers_to_read_and_delete(stage: Stage, tmp_path: Path) -> None:
    """`agentbus sessions`: listed, shown, exported as it is stored, deleted; what is gone is no error but exit 1."""

    async def sessions(*arguments: str | Path) -> tuple[int, str, str]:
        command, agent, *more = map(str, arguments)
        return await filed("", "sessions", command, agent, *more, "--home", str(stage.bench.home.root))

    stage.fake.script = [
        Say("Hello \x1b[2JAda."), CallTool("note", {"do": "write", "name": "who", "text": "Ada"}), Say("Noted."),
    ]  # fmt: skip
    await filed("I am Ada.\nKeep that.\n", *stage.arguments, "--context", "c-1")
    code, out, _ = await sessions("list", "greeter")
    assert (code, out.splitlines()[1].split()[0], out.splitlines()[1].split()[2]) == (0, "c-1", "6")
    listed = json.loads((await sessions("list", "greeter", "--json"))[1])
    assert (listed["total"], listed["sessions"][0]["contextId"]) == (1, "c-1")
    code, out, _ = await sessions("show", "greeter", "c-1")
    assert code == 0
    assert "  user: I am Ada.\n" in out
    assert "  agent: Hello \\x1b[2JAda.\n" in out
    assert "  agent: uses note with " in out
    file = tmp_path / "talk.json"
    assert (await sessions("export", "greeter", "c-1", file))[0] == 0
    stored = json.loads(file.read_text())
    assert (stored["version"], stored["caller"], stored["turns"][0]["turn"]["text"]) == (1, "ops", "I am Ada.")
    assert (await sessions("export", "greeter", "c-1", file))[0] == 78
    assert "who (" in (await sessions("notes", "greeter"))[1]

    theirs = await caller(stage.bench, "concierge")
    request = SessionRequest(context_id="c-1")
    assert (await theirs.call("greeter", "GetSession", request, StoredData, timeout_s=20)).data is None
    assert not (await theirs.call("greeter", "DeleteSession", request, Deleted, timeout_s=20)).was_there
    assert not (await theirs.call("greeter", "DeleteNotes", a2a.Empty(), Deleted, timeout_s=20)).was_there

    assert (await sessions("delete", "greeter"))[0] == 78
    assert await sessions("delete", "greeter", "--all") == (0, "deleted 2\n", "")
    assert (await sessions("delete", "greeter", "c-1"))[0] == 1
    assert (await sessions("show", "greeter", "c-1"))[0] == 1
    assert (await sessions("notes", "greeter"))[1] == ""
