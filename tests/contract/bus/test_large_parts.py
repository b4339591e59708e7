"""Large parts: what is over the server's limit of a message travels beside it, for one reader, and is whole at the other end."""

from __future__ import annotations

import asyncio
import datetime
import os
import time

import msgspec

from agents.skill import Context, skill
from bus.part_store import PartStore, always
from bus.requests.caller import Caller
from schemas import a2a, names, parts, protojson
from schemas.errors import TaskNotFound
from schemas.ids import sha256_hex, ulid
from tests.harness.agent import caller, saying, serving
from tests.harness.fleet import Bench, until

FIVE_MIB = 5 * 1024 * 1024


def carrying(
    *given: a2a.Part, skill: str = "", task: str = "", return_immediately: bool = False
) -> a2a.SendMessageRequest:
    """A request of these parts."""
    message = a2a.Message(
        message_id=ulid(time.time_ns(), os.urandom(10)), role="ROLE_USER", parts=given, task_id=task,
        metadata={"skill": skill} if skill else {},
    )  # fmt: skip
    return a2a.SendMessageRequest(
        message=message, configuration=a2a.SendMessageConfiguration(return_immediately=return_immediately)
    )


async def ended(calls: Caller, task: str) -> a2a.Task:
    async def look() -> a2a.Task | None:
        try:
            found = await calls.get_task("textstats", task)
        except TaskNotFound:
            return None
        return found if found.is_final else None

    found = await until(look, timeout_s=20)
    assert found is not None
    return found


class Seen(msgspec.Struct):
    """What a handler saw of a message: of each part the field, its size and digest, its names."""

    parts: list[tuple[str, int, str, str, str]]


def seen(given: tuple[a2a.Part, ...]) -> list[tuple[str, int, str, str, str]]:
    """The same of any parts."""
    found = []
    for part in given:
        for field in ("text", "raw", "url", "data"):
            if (value := getattr(part, field)) is not msgspec.UNSET:
                body = value if isinstance(value, bytes) else msgspec.json.encode(value)
                found.append((field, len(body), sha256_hex(body), part.filename, part.media_type))
    return found


@skill(description="Says what it was sent.", id="look")
async def look(request: str, ctx: Context) -> Seen:
    return Seen(seen(ctx.message.parts))


async def test_a_large_message_reaches_the_handler_whole(fleet_bench: Bench) -> None:
    """A handler sees large raw, text and data parts as they were given, beside small ones, with names and types."""
    raw = a2a.Part(raw=os.urandom(FIVE_MIB), filename="noise.bin", media_type="application/x-noise", metadata={"a": 1})
    given = (a2a.Part(text="see"), raw, a2a.Part(text="long " * 300_000), a2a.Part(data={"many": ["x" * 99] * 20_000}))
    calls = await caller(fleet_bench)
    async with serving(fleet_bench, "textstats", look):
        answer = await calls.send_message("textstats", carrying(*given))
    assert answer.message is not None
    assert answer.message.parts[0].data["parts"] == [list(row) for row in seen(given)]
    assert fleet_bench.violations == []


@skill(description="Gives as many bytes as it is asked for.", id="fill")
async def fill(request: str, ctx: Context) -> a2a.Part:
    return a2a.Part(raw=content(int(request)), filename="filled.bin", media_type="application/x-filled")


@skill(description="The same as an artifact.", id="make")
async def make(request: str, ctx: Context) -> str:
    await ctx.artifact("filled", content(int(request)))
    return "made"


def content(size: int) -> bytes:
    """Bytes that no two chunks have in common."""
    return b"".join(number.to_bytes(4) for number in range(size // 4))


async def test_a_large_answer_reaches_the_caller_whole(fleet_bench: Bench) -> None:
    """An answer over the limit comes as the message that the handler gave."""
    calls = await caller(fleet_bench)
    async with serving(fleet_bench, "textstats", fill):
        answer = await calls.send_message("textstats", saying(str(FIVE_MIB)))
    assert answer.message is not None
    (part,) = answer.message.parts
    assert part == a2a.Part(raw=content(FIVE_MIB), filename="filled.bin", media_type="application/x-filled")


async def test_a_large_artifact_comes_with_the_stream_and_with_the_task(fleet_bench: Bench) -> None:
    """An artifact and an answer over the limit are whole in the stream's updates, in GetTask and in a late subscription."""
    calls = await caller(fleet_bench)
    async with serving(fleet_bench, "textstats", make, fill):
        for name, which in (("make", 0), ("fill", 0)):
            request = carrying(a2a.Part(text=str(FIVE_MIB)), skill=name)
            stream = [response async for response in calls.stream("textstats", "SendStreamingMessage", request)]
            task = next(response.task.id for response in stream if response.task)
            updates = [response.artifact_update for response in stream if response.artifact_update]
            found = await calls.get_task("textstats", task)
            late = [response async for response in calls.subscribe_to_task("textstats", task, last_event=1)]
            assert found.status.state == a2a.COMPLETED
            for artifacts in (
                [update.artifact for update in updates],
                list(found.artifacts),
                [response.artifact_update.artifact for response in late if response.artifact_update],
            ):
                assert artifacts[which].parts[0].raw == content(FIVE_MIB)


async def test_a_durable_task_takes_and_gives_large_parts(fleet_bench: Bench) -> None:
    """A task with a large part, left while the agent is down, is worked on whole, and its result is whole."""

    @skill(description="Gives back what it was sent.", id="mirror")
    async def mirror(request: str, ctx: Context) -> a2a.Part:
        return ctx.message.parts[1]

    calls = await caller(fleet_bench)
    sent = a2a.Part(raw=content(FIVE_MIB), media_type="application/x-sent")
    task = await calls.leave_task("textstats", carrying(a2a.Part(text="this"), sent))
    async with serving(fleet_bench, "textstats", mirror) as agent:
        found = await ended(calls, task)
        assert found.status.state == a2a.COMPLETED
        assert found.artifacts[0].parts == (sent,)
        kept = await agent.book.get("ops", task)
        assert len(msgspec.json.encode(kept)) < 4096


@skill(description="Asks for a second part, and says what it has seen of both.", id="pair")
async def pair(request: str, ctx: Context) -> Seen:
    first = seen(ctx.message.parts)
    answer = await ctx.input_required("And the other?")
    return Seen(first + seen(answer.parts))


async def test_a_waiting_task_has_its_large_parts_when_it_goes_on(fleet_bench: Bench) -> None:
    """A task that asked its caller runs again with the first message and the answer whole, both large."""
    calls = await caller(fleet_bench)
    one, other = (a2a.Part(raw=os.urandom(size)) for size in (FIVE_MIB, 2_000_000))
    async with serving(fleet_bench, "textstats", pair):
        waiting = await calls.send_message("textstats", carrying(a2a.Part(text="one"), one))
        assert waiting.task is not None
        assert waiting.task.status.state == a2a.INPUT_REQUIRED
        done = await calls.send_message("textstats", carrying(other, task=waiting.task.id))
    assert done.task is not None
    rows = done.task.artifacts[0].parts[0].data["parts"]
    assert rows[1:] == [list(row) for row in seen((one, other))]


async def test_a_running_task_is_steered_with_a_large_part(fleet_bench: Bench) -> None:
    """What a handler hears while it runs is whole too."""

    @skill(description="Waits for a message and says what it was.", id="wait")
    async def wait(request: str, ctx: Context) -> Seen:
        return Seen(seen((await ctx.next_message()).parts))

    calls, part = await caller(fleet_bench), a2a.Part(raw=os.urandom(FIVE_MIB))
    async with serving(fleet_bench, "textstats", wait):
        begun = await calls.send_message("textstats", carrying(a2a.Part(text="go"), return_immediately=True))
        assert begun.task is not None
        task = begun.task.id

        async def is_working() -> bool:
            return (await calls.get_task("textstats", task)).status.state == a2a.WORKING

        await until(is_working)
        await calls.send_message("textstats", carrying(part, task=task))
        found = await ended(calls, task)
    assert found.artifacts[0].parts[0].data["parts"] == [list(row) for row in seen((part,))]


async def test_an_agent_asks_another_with_a_large_part(fleet_bench: Bench) -> None:
    """Between two agents it is the same: each stores what it sends in its own name, for the other."""

    @skill(description="Asks textstats for what it gets.", id="relay")
    async def relay(request: str, ctx: Context) -> str:
        return await ctx.ask("textstats", request * 200_000)

    @skill(description="Says the same again.", id="echo")
    async def echo(request: str, ctx: Context) -> str:
        return request

    calls = await caller(fleet_bench)
    async with serving(fleet_bench, "textstats", echo), serving(fleet_bench, "concierge", relay):
        answer = await calls.send_message("concierge", saying("twelve bytes"))
    assert answer.message is not None
    assert answer.message.text() == "twelve bytes" * 200_000
    assert fleet_bench.violations == []


async def test_a_large_part_outlives_a_restart_of_the_server(fleet_bench: Bench) -> None:
    """What was stored is there after a restart, and what is sent during one is stored when the server is back."""
    calls, sent = await caller(fleet_bench), a2a.Part(text="x" * 2_000_000)
    before = await calls.leave_task("textstats", carrying(sent))
    own = await fleet_bench.connect("ops", names.OWN_CREDENTIAL)
    await fleet_bench.server.stop()
    putting = asyncio.create_task(PartStore("ops", always(own)).put("textstats", "raw", content(FIVE_MIB), keep_s=60))
    await fleet_bench.server.start()
    reference = await putting
    later = await caller(fleet_bench)
    async with serving(fleet_bench, "textstats", look):
        task = await ended(later, before)
        answer = await later.send_message(
            "textstats", carrying(a2a.Part(text="see"), parts.refer(a2a.Part(raw=b""), reference))
        )
    assert task.artifacts[0].parts[0].data["parts"] == [list(row) for row in seen((sent,))]
    assert answer.message is not None
    assert answer.message.parts[0].data["parts"][1:] == [list(row) for row in seen((a2a.Part(raw=content(FIVE_MIB)),))]


async def test_many_results_leave_the_task_small(fleet_bench: Bench) -> None:
    """Results that are each small enough for a message do not together keep the task from being saved."""

    @skill(description="Gives forty results of a hundred thousand bytes.", id="many")
    async def many(request: str, ctx: Context) -> str:
        for number in range(40):
            await ctx.artifact(f"result {number}", bytes([number]) * 100_000)
        return "done"

    calls = await caller(fleet_bench)
    async with serving(fleet_bench, "textstats", many) as agent:
        task = await calls.leave_task("textstats", saying("go"))
        found = await ended(calls, task)
        kept = await agent.book.get("ops", task)
    assert found.status.state == a2a.COMPLETED
    given = [artifact.parts[0].raw for artifact in found.artifacts[:40]]
    assert given == [bytes([number]) * 100_000 for number in range(40)]
    assert len(protojson.encode(kept)) < names.MAX_PAYLOAD_BYTES // 2


async def test_a_task_that_is_put_off_has_its_large_part_when_it_is_due(fleet_bench: Bench) -> None:
    """A large part is kept for a task that waits for its moment, as it is for one that waits for its agent."""
    calls, sent = await caller(fleet_bench), a2a.Part(raw=content(FIVE_MIB))
    async with serving(fleet_bench, "textstats", look):
        due = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=2)
        task = await calls.leave_task("textstats", carrying(a2a.Part(text="later"), sent), not_before=due)
        found = await ended(calls, task)
    assert found.artifacts[0].parts[0].data["parts"][1:] == [list(row) for row in seen((sent,))]
