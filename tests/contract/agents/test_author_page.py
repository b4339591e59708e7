"""The skills on the page on agents in detail, run as an agent: they do what the page says."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio
from msgspec.structs import replace

from agents.runtime.loading.load import card_of, load_agent
from bus.requests.caller import Caller
from schemas import a2a
from schemas.errors import InvalidArgument
from schemas.sessions import (
    DELETE_NOTES,
    DELETE_SESSION,
    LIST_SESSIONS,
    Deleted,
    ListSessionsRequest,
    ListSessionsResponse,
    SessionRequest,
)
from tests.harness.agent import Agent, caller, saying, serving
from tests.harness.fleet import CHECKOUT, Bench, bench, until

pytestmark = pytest.mark.asyncio(loop_scope="module")


def _python(page: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


async def test_the_page_turns_a_file_around(shared_bench: Bench, tmp_path: Path) -> None:
    """The page's last handler, loaded as the page says, takes and gives a large file; its card says bytes, without a schema."""
    page = (CHECKOUT / "agents" / "SKILLS.md").read_text()
    (tmp_path / "handler.py").write_text(_python(page)[-1])
    (tmp_path / "agent.yaml").write_text("agent: {id: textstats, description: Turns.}\nhandler: handler.py:turn\n")
    loaded = load_agent(tmp_path / "agent.yaml")
    card = card_of(loaded, "tree", "instance")
    assert card.skills[0].input_modes == card.skills[0].output_modes == ("application/octet-stream",)
    typed = next(extension for extension in card.capabilities.extensions if extension.uri == a2a.TYPED_SKILLS_URI)
    assert typed.params["skills"] == {"turn": {}}
    content = bytes(range(256)) * 8192
    given = a2a.Part(raw=content, filename="a.bin", media_type="application/x-a")
    request = saying("")
    request = replace(request, message=replace(request.message, parts=(given,)))
    async with serving(shared_bench, "textstats", *loaded.skills):
        calls = await caller(shared_bench)
        answer = await calls.send_message("textstats", request)
        with pytest.raises(InvalidArgument, match="takes a raw part"):
            await calls.send_message("textstats", saying("a"))
    assert answer.message is not None
    assert answer.message.parts == (replace(given, raw=content[::-1]),)


async def test_answers_in_pieces_and_questions_of_another_agent(
    shared_bench: Bench, agent: Agent, tmp_path: Path
) -> None:
    """Pieces are handed on as they come, and a question is answered: both as the page's third handler says."""
    page = (CHECKOUT / "agents" / "SKILLS.md").read_text()
    folder = tmp_path / "asking"
    folder.mkdir()
    (folder / "handler.py").write_text(_python(page)[2])
    (folder / "agent.yaml").write_text("agent: {id: concierge, description: d}\nhandler: handler.py:ASKING\n")
    async with serving(shared_bench, "concierge", *load_agent(folder / "agent.yaml").skills):
        ops = await caller(shared_bench)
        frames = [f async for f in ops.stream("concierge", "SendStreamingMessage", _for("loud", "a bus"))]
        bought = (await ops.send_message("concierge", _for("buy", "shirt"))).message
    pieces = [frame.artifact_update.artifact.parts[0].text for frame in frames if frame.artifact_update]
    assert pieces == ["ONCE ", "UPON ", "A ", "TIME ", "THERE ", "WAS ", "A ", "BUS ", ". "]
    assert bought is not None
    assert bought.text() == "shirt in large is on its way"


@pytest_asyncio.fixture(loop_scope="module")
async def agent(shared_bench: Bench, tmp_path: Path) -> AsyncIterator[Agent]:
    """textstats with the page's skills."""
    page = (CHECKOUT / "agents" / "SKILLS.md").read_text()
    folder = tmp_path / "page"
    folder.mkdir()
    (folder / "handler.py").write_text(_python(page)[1])
    (folder / "agent.yaml").write_text(
        "agent: {id: textstats, description: d, version: 1.0.0}\nhandler: handler.py:SKILLS\n"
    )
    async with serving(shared_bench, "textstats", *load_agent(folder / "agent.yaml").skills) as running:
        yield running


def _for(skill: str, text: str, task: a2a.Task | None = None) -> a2a.SendMessageRequest:
    request = saying(text)
    metadata: a2a.JsonObject = {"skill": skill}
    message = msgspec.structs.replace(request.message, metadata=metadata, task_id=task.id if task else "")
    return msgspec.structs.replace(request, message=message)


async def test_a_story_comes_word_by_word(shared_bench: Bench, agent: Agent) -> None:
    """Each `yield` is a piece of the streamed answer, in order."""
    ops = await caller(shared_bench)
    frames = [f async for f in ops.stream(agent.id, "SendStreamingMessage", _for("story", "a bus"))]
    pieces = [frame.artifact_update.artifact.parts[0].text for frame in frames if frame.artifact_update]
    assert pieces == ["Once ", "upon ", "a ", "time ", "there ", "was ", "a ", "bus ", ". "]


async def test_an_order_asks_and_gives_a_label(shared_bench: Bench, agent: Agent) -> None:
    """The question waits for its answer; the artifact and the answer are in the task."""
    ops = await caller(shared_bench)
    asked = (await ops.send_message(agent.id, _for("order", "shirt"))).task
    assert asked is not None
    assert asked.status.state == a2a.INPUT_REQUIRED
    done = (await ops.send_message(agent.id, _for("order", "large", asked))).task
    assert done is not None
    texts = {artifact.name: artifact.parts[0].text for artifact in done.artifacts}
    assert texts == {"label": "shirt, large", "": "shirt in large is on its way"}


async def test_a_walk_hears_what_is_added(shared_bench: Bench, agent: Agent) -> None:
    """Messages to the working task reach the function that runs."""
    ops = await caller(shared_bench)
    begun = msgspec.structs.replace(
        _for("walk", "go"), configuration=a2a.SendMessageConfiguration(return_immediately=True)
    )
    task = (await ops.send_message(agent.id, begun)).task
    assert task is not None

    async def is_working() -> bool:
        return (await ops.get_task(agent.id, task.id)).status.state == a2a.WORKING

    await until(is_working)
    done = (await ops.send_message(agent.id, _for("walk", "stop", task))).task
    assert done is not None
    assert done.artifacts[0].parts[0].text == "go stop"


async def test_the_skill_that_remembers(tmp_path: Path) -> None:
    """In the agent's account, each caller its own, once for a message that is repeated; its caller's to read and delete."""
    page = (CHECKOUT / "agents" / "SKILLS.md").read_text()
    handler = next(block for block in _python(page) if "ctx.memory" in block)
    file = "agent: {id: textstats, description: d}\nhandler: handler.py:hello\nmemory: {}\n"
    async with bench(tmp_path, agents={"textstats": (file, handler)}) as running, serving(running, "textstats"):
        ops, other = await caller(running), await caller(running, "concierge")

        async def said(calls: Caller, request: a2a.SendMessageRequest) -> str:
            message = (await calls.send_message("textstats", request)).message
            assert message is not None
            return message.text()

        first = saying("I am Ada", context="c")
        for _ in range(2):
            assert await said(ops, first) in {
                "Hello stranger, you said 0 things before.", "Hello Ada, you said 0 things before."
            }  # fmt: skip
        assert await said(ops, saying("hi", context="c")) == "Hello Ada, you said 1 things before."
        assert await said(other, saying("hi", context="c")) == "Hello stranger, you said 0 things before."
        listed = await ops.call("textstats", LIST_SESSIONS, ListSessionsRequest(), ListSessionsResponse, timeout_s=5)
        assert [(head.context_id, head.turns) for head in listed.sessions] == [("c", 4)]
        mine = SessionRequest(context_id="c")
        for operation in (DELETE_NOTES, DELETE_SESSION):
            assert (await ops.call("textstats", operation, mine, Deleted, timeout_s=5)).was_there
        assert await said(ops, saying("hi", context="c")) == "Hello stranger, you said 0 things before."
