"""Media types over a real server: a skill gets only what its card takes, a caller only what it accepts."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from agents.runtime.loading.load import card_of, load_agent
from agents.skill import Context, skill
from schemas import a2a
from schemas.errors import ContentTypeNotSupported
from tests.contract.agents.skills import Counting, Gate
from tests.harness.agent import caller, saying, serving
from tests.harness.fleet import Bench, until


class Sizes(msgspec.Struct):
    """A data type."""

    width: int


@skill(description="Takes and gives data.")
async def measure(request: Sizes, ctx: Context) -> Sizes:
    return request


@skill(description="Takes and gives bytes.")
async def turn(request: a2a.Part, ctx: Context) -> a2a.Part:
    return request


pytestmark = pytest.mark.asyncio(loop_scope="module")
TEXT = a2a.Part(text="a")
DATA = a2a.Part(data={"width": 2})
RAW = a2a.Part(raw=b"a")


def _request(part: a2a.Part, media_type: str, skill_id: str, *accepted: str) -> a2a.SendMessageRequest:
    request = saying("", skill=skill_id)
    return replace(
        request,
        message=replace(request.message, parts=(replace(part, media_type=media_type),)),
        configuration=a2a.SendMessageConfiguration(accepted_output_modes=accepted),
    )


TAKEN = [
    (TEXT, "", "counted", ()),
    (TEXT, "text/plain", "counted", ("text/plain",)),
    (TEXT, "Text/Plain; charset=utf-8", "", ("image/png", "TEXT/*")),
    (DATA, "application/json", "measure", ("*/*",)),
    (DATA, "", "measure", ("application/json; charset=utf-8",)),
    (RAW, "image/png", "turn", ("image/png",)),
    (RAW, "application/octet-stream", "turn", ()),
]
REFUSED = [
    (TEXT, "text/markdown", "counted", (), "message.parts[0].mediaType"),
    (TEXT, "text/markdown", "", (), "message.parts[0].mediaType"),
    (TEXT, "text/plain", "measure", (), "message.parts[0].mediaType"),
    (DATA, "application/json", "counted", (), "message.parts[0].mediaType"),
    (TEXT, "text/plain", "counted", ("application/json",), "configuration.acceptedOutputModes"),
    (TEXT, "text/plain", "counted", ("text/html", "image/*"), "configuration.acceptedOutputModes"),
    (DATA, "", "measure", ("text/plain",), "configuration.acceptedOutputModes"),
]


@pytest.mark.parametrize(("part", "media_type", "skill_id", "accepted"), TAKEN)
async def test_what_the_card_takes_is_answered(
    shared_bench: Bench, part: a2a.Part, media_type: str, skill_id: str, accepted: tuple[str, ...]
) -> None:
    """Case, parameters and ranges are as media types have them; a part without a type is judged by its content."""
    async with serving(shared_bench, "textstats", Counting().skill, measure, turn):
        ops = await caller(shared_bench)
        answer = await ops.send_message("textstats", _request(part, media_type, skill_id, *accepted))
    assert answer.message is not None


@pytest.mark.parametrize(("part", "media_type", "skill_id", "accepted", "field"), REFUSED)
async def test_what_it_does_not_take_is_refused_before_anything_runs(
    shared_bench: Bench, part: a2a.Part, media_type: str, skill_id: str, accepted: tuple[str, ...], field: str
) -> None:
    """The error names the place and the types that would do, in requests and streams; no skill has run."""
    counting = Counting()
    async with serving(shared_bench, "textstats", counting.skill, measure, turn):
        ops = await caller(shared_bench)
        request = _request(part, media_type, skill_id, *accepted)
        with pytest.raises(ContentTypeNotSupported, match="supported: ") as refused:
            await ops.send_message("textstats", request)
        with pytest.raises(ContentTypeNotSupported):
            _ = [frame async for frame in ops.stream("textstats", "SendStreamingMessage", request)]
    assert [violation.field for violation in refused.value.violations] == [field]
    assert counting.runs == {}


async def test_a_durable_task_is_rejected(shared_bench: Bench) -> None:
    """Its caller learns why from the task."""
    counting = Counting()
    async with serving(shared_bench, "textstats", counting.skill) as agent:
        ops = await caller(shared_bench)
        task = await ops.leave_task("textstats", _request(TEXT, "text/markdown", "counted"))

        async def is_over() -> bool:
            record = await agent.book.find("ops", task)
            return record is not None and record.task.is_final

        await until(is_over)
        found = await ops.get_task("textstats", task)
    assert found.status.state == a2a.REJECTED
    assert found.status.message is not None
    assert "text/markdown" in found.status.message.text()
    assert counting.runs == {}


async def test_a_further_message_may_have_what_any_skill_takes(shared_bench: Bench) -> None:
    """Which skill the task runs, the message does not say; what none takes is refused, and the task goes on."""
    gate = Gate()
    async with serving(shared_bench, "textstats", gate.skill, measure):
        ops = await caller(shared_bench)
        begun = (await ops.send_message("textstats", saying("a", skill="held", return_immediately=True))).task
        assert begun is not None
        await gate.has_entered()
        for part, media_type, is_taken in ((DATA, "application/json", True), (TEXT, "text/markdown", False)):
            request = _request(part, media_type, "")
            request = replace(
                request,
                message=replace(request.message, task_id=begun.id),
                configuration=a2a.SendMessageConfiguration(return_immediately=True),
            )
            if is_taken:
                assert (await ops.send_message("textstats", request)).task is not None
            else:
                with pytest.raises(ContentTypeNotSupported):
                    await ops.send_message("textstats", request)
        gate.opened.set()


async def test_a_described_skill_has_the_modes_of_its_types(tmp_path: Path) -> None:
    """Words in agent.yaml change nothing of what a handler's skill takes and gives."""
    (tmp_path / "handler.py").write_text(
        "import msgspec\nfrom agents.skill import Context, skill\n\n\nclass Sizes(msgspec.Struct):\n    width: int\n\n\n"
        "@skill(description='d')\nasync def measure(request: Sizes, ctx: Context) -> str:\n    return ''\n"
    )
    (tmp_path / "agent.yaml").write_text(
        "agent: {id: a, description: d, version: 1.0.0, skills: [{id: measure, name: n, description: d}]}\n"
        "handler: handler.py:measure\n"
    )
    (described,) = card_of(load_agent(tmp_path / "agent.yaml"), "tree", "instance").skills
    assert (described.input_modes, described.output_modes) == (("application/json",), ("text/plain",))
