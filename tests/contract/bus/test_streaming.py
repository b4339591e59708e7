"""Streams of a task's updates: in order, the same for all, without a gap, and taken up again where they broke."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from nats.aio.msg import Msg as PlainMsg

from agents.skill import Context, skill
from bus.connection import Msg
from bus.jetstream import Puller, call
from bus.requests import streaming
from bus.requests.caller import Caller
from bus.requests.flow import Bounds
from bus.requests.replies import Replies
from bus.tasks.log import Watch
from schemas import a2a, names, protojson
from schemas.errors import DeadlineExceeded, TaskNotFound, Unavailable, UnsupportedOperation
from tests.contract.agents.skills import Gate, echo
from tests.contract.tasks.test_task_operations import answer_of, background, order
from tests.harness.admin import administrator
from tests.harness.agent import caller, reaches, saying, serving
from tests.harness.fleet import Bench, until
from tests.harness.pulling import pull_some


@skill(description="Tells a story word by word.")
async def tell(request: str, ctx: Context) -> AsyncIterator[str]:
    for number in range(int(request)):
        yield f"w{number} "


class Slow:
    """A streaming skill that gives a word for each permit."""

    def __init__(self) -> None:
        self.permits = asyncio.Semaphore(0)

    @property
    def skill(self) -> object:
        @skill(description="Tells word by word, when it may.", id="slow")
        async def slow(request: str, ctx: Context) -> AsyncIterator[str]:
            for number in range(int(request)):
                await self.permits.acquire()
                yield f"w{number} "

        return slow

    def allow(self, count: int) -> None:
        for _ in range(count):
            self.permits.release()


def words(count: int) -> str:
    return "".join(f"w{number} " for number in range(count))


def text_of(frames: list[a2a.StreamResponse]) -> str:
    """What the artifact updates add up to."""
    updates = [frame.artifact_update for frame in frames if frame.artifact_update]
    return "".join(str(part.text) for update in updates for part in update.artifact.parts)


def states(frames: list[a2a.StreamResponse]) -> list[str]:
    return [frame.status_update.status.state for frame in frames if frame.status_update]


async def collected(ops: Caller, text: str) -> list[a2a.StreamResponse]:
    stream = ops.stream("textstats", "SendStreamingMessage", saying(text))
    return [frame async for frame in stream]


async def test_a_stream_is_the_task_and_then_its_updates(fleet_bench: Bench) -> None:
    """The task first, then each piece in order, then how it ended; the stored task has the whole."""
    ops = await caller(fleet_bench)
    async with serving(fleet_bench, "textstats", tell):
        frames = await collected(ops, "50")
        assert frames[0].task is not None
        assert states(frames) == [a2a.WORKING, a2a.COMPLETED]
        assert text_of(frames) == words(50)
        task = await ops.get_task("textstats", frames[0].task.id)
        assert (task.status.state, answer_of(task)) == (a2a.COMPLETED, words(50))
        assert len(task.artifacts) == 1


async def test_a_streaming_skill_answers_a_plain_request_whole(fleet_bench: Bench) -> None:
    """SendMessage gets all pieces as one message."""
    ops = await caller(fleet_bench)
    async with serving(fleet_bench, "textstats", tell):
        answer = await ops.send_message("textstats", saying("5"))
        assert answer.message is not None
        assert answer.message.text() == words(5)


async def test_a_stream_ends_where_the_caller_is_asked(fleet_bench: Bench) -> None:
    """With INPUT_REQUIRED the stream ends; the question is in its last update."""
    ops = await caller(fleet_bench)
    async with serving(fleet_bench, "textstats", order):
        frames = await collected(ops, "shirt")
        assert states(frames) == [a2a.WORKING, a2a.INPUT_REQUIRED]


async def test_every_subscriber_sees_the_same(fleet_bench: Bench) -> None:
    """A subscriber who comes later gets the task as it stands and the same updates, at whatever instance."""
    ops, slow = await caller(fleet_bench), Slow()
    async with (
        serving(fleet_bench, "textstats", slow.skill),  # type: ignore[arg-type]
        serving(fleet_bench, "textstats", slow.skill, slot="1"),  # type: ignore[arg-type]
    ):
        first = ops.stream("textstats", "SendStreamingMessage", saying("20"))
        seen = [await anext(first)]
        assert seen[0].task is not None
        task = seen[0].task.id
        slow.allow(10)
        while not text_of(seen).endswith("w9 "):
            seen.append(await anext(first))
        others = [ops.subscribe_to_task("textstats", task) for _ in range(4)]
        begun = [[await anext(other)] for other in others]
        slow.allow(10)
        seen += [frame async for frame in first]
        for frames, other in zip(begun, others, strict=True):
            assert frames[0].task is not None
            frames += [frame async for frame in other]
            assert frames[-1] == seen[-1]
            assert text_of(frames).endswith("w19 ")
            missing = [frame for frame in seen[1:] if frame not in frames]
            assert frames[1:] == [frame for frame in seen[1:] if frame not in missing]


async def test_a_stream_is_resumed_after_the_last_update(fleet_bench: Bench) -> None:
    """With the number of the last update, a subscriber gets what comes after it and nothing twice."""
    ops, slow = await caller(fleet_bench), Slow()
    async with serving(fleet_bench, "textstats", slow.skill):  # type: ignore[arg-type]
        stream = ops.stream("textstats", "SendStreamingMessage", saying("10"))
        first = (await anext(stream)).task
        assert first is not None
        slow.allow(10)
        whole = [frame async for frame in stream]
        rest = [frame async for frame in ops.subscribe_to_task("textstats", first.id, last_event=5)]
        assert rest == whole[-len(rest) :]
        assert len(rest) == len(whole) + 1 - 5  # update 1 came as the task
        last = len(whole) + 1
        assert [frame async for frame in ops.subscribe_to_task("textstats", first.id, last_event=last)] == []


class Lossy(Replies):
    """A connection that loses the seventh frame, three times."""

    lost = 0

    def arrived(self, message: Msg) -> None:
        """One more message, unless it is lost."""
        if (message.headers or {}).get(names.FRAME) == "7" and self.lost < 3:
            self.lost += 1
            return
        super().arrived(message)


async def test_a_lost_frame_is_noticed_and_fetched(fleet_bench: Bench) -> None:
    """A gap in the frames costs nothing but a request: the stream that the consumer sees is whole."""
    ops = Caller(await fleet_bench.connect("ops"), "ops")
    ops._replies = lossy = Lossy("ops")
    await ops.start()
    async with serving(fleet_bench, "textstats", tell):
        frames = await collected(ops, "60")
    assert lossy.lost == 3
    assert text_of(frames) == words(60)


async def test_an_update_that_the_instance_did_not_hear_is_read_again(
    fleet_bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An instance whose own connection loses an update finds it in the log: its subscribers miss nothing."""
    monkeypatch.setattr("bus.tasks.log._LOOK_AGAIN_S", 0.1)
    heard, ops, slow = Watch._take, await caller(fleet_bench), Slow()
    lost: list[str] = []

    def deaf_once(watch: Watch, message: Msg) -> None:
        event = (message.headers or {}).get(names.EVENT, "")
        if event == "5" and not lost:
            lost.append(event)
            return
        heard(watch, message)

    monkeypatch.setattr(Watch, "_take", deaf_once)
    async with serving(fleet_bench, "textstats", slow.skill):  # type: ignore[arg-type]
        stream = ops.stream("textstats", "SendStreamingMessage", saying("10"))
        seen = [await anext(stream)]
        slow.allow(10)
        seen += [frame async for frame in stream]
    assert lost == ["5"]
    assert text_of(seen) == words(10)


async def test_a_slow_consumer_loses_nothing(fleet_bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames beyond what may wait are dropped and fetched again; memory stays bounded, the text whole."""
    monkeypatch.setattr(streaming, "_MOST_WAITING", 8)
    ops = await caller(fleet_bench)
    async with serving(fleet_bench, "textstats", tell):
        frames = []
        async for frame in ops.stream("textstats", "SendStreamingMessage", saying("100")):
            frames.append(frame)
            if frame.task is not None:
                await reaches(ops, frame.task.id, a2a.COMPLETED)
    assert text_of(frames) == words(100)


async def test_a_stream_goes_on_at_another_instance(fleet_bench: Bench) -> None:
    """An instance that drains ends its streams at once; their callers go on with the other one and miss nothing."""
    ops, slow = await caller(fleet_bench), Slow()
    async with serving(fleet_bench, "textstats", slow.skill) as running:  # type: ignore[arg-type]
        stream = ops.stream("textstats", "SendStreamingMessage", saying("20"))
        seen = [await anext(stream)]
        slow.allow(5)
        while "w4 " not in text_of(seen):
            seen.append(await anext(stream))
        async with serving(fleet_bench, "textstats", slow.skill, slot="1"):  # type: ignore[arg-type]
            draining = asyncio.create_task(running.drain(20))
            slow.allow(15)
            seen += [frame async for frame in stream]
            await draining
    assert text_of(seen) == words(20)
    assert states(seen)[-1] == a2a.COMPLETED


async def test_a_silent_stream_says_that_it_lives(fleet_bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """While nothing happens, frames without an object come, so a dead stream is told from a quiet one."""
    monkeypatch.setattr(streaming, "KEEP_ALIVE_S", 0.05)
    gate, ops = Gate(), await caller(fleet_bench)
    frames: list[PlainMsg] = []
    async with serving(fleet_bench, "textstats", gate.skill):
        plain = await fleet_bench.attacker("ops")
        inbox = plain.client.new_inbox()
        listening = await plain.client.subscribe(inbox)
        await plain.client.publish(
            "a2a.v1.req.textstats.ops.SendStreamingMessage", protojson.encode(saying("held")), reply=inbox,
            headers={"A2A-Version": "1.0"},
        )  # fmt: skip
        while sum(not frame.data for frame in frames) < 3:
            frames.append(await listening.next_msg(timeout=5))
        gate.opened.set()
        while names.END not in (frames[-1].headers or {}):
            frames.append(await listening.next_msg(timeout=5))
    numbers = [int((frame.headers or {})[names.FRAME]) for frame in frames]
    assert numbers == list(range(1, len(frames) + 1))
    assert (frames[-1].headers or {})[names.END] == "complete"
    del ops


async def test_what_cannot_be_followed_is_refused(fleet_bench: Bench) -> None:
    """An ended task is an unsupported operation, a stranger's or unknown one is not found."""
    ops, other = await caller(fleet_bench), await caller(fleet_bench, "concierge")
    async with serving(fleet_bench, "textstats", echo):
        task = await background(ops, "hello")
        await reaches(ops, task.id, a2a.COMPLETED)
        with pytest.raises(UnsupportedOperation, match="GetTask"):
            await anext(ops.subscribe_to_task("textstats", task.id))
        with pytest.raises(TaskNotFound):
            await anext(other.subscribe_to_task("textstats", task.id))


async def test_an_update_that_was_never_stored_is_made_good(
    fleet_bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that dies between the state and its update leaves no subscriber waiting: the state itself is told."""
    monkeypatch.setattr("bus.tasks.log._LOOK_AGAIN_S", 0.1)
    gate, ops = Gate(), await caller(fleet_bench)
    async with serving(fleet_bench, "textstats", gate.skill) as agent:
        stream = ops.stream("textstats", "SendStreamingMessage", saying("held"))
        seen = [await anext(stream), await anext(stream)]
        assert states(seen) == [a2a.WORKING]

        async def swallowed(*_: object) -> None:
            """The update is lost as if the process had died here."""

        monkeypatch.setattr(agent.book._log, "append", swallowed)
        gate.opened.set()
        seen += [frame async for frame in stream]
    assert states(seen)[-1] == a2a.COMPLETED


async def test_more_streams_than_an_agent_holds_are_refused(fleet_bench: Bench) -> None:
    """With `max_streams` open the next one is 503 with a time to come back; when one ends there is room again."""
    ops, gate = await caller(fleet_bench), Gate()
    async with serving(fleet_bench, "textstats", gate.skill, bounds=Bounds(max_streams=1)) as agent:
        stream = ops.stream("textstats", "SendStreamingMessage", saying("held"))
        await anext(stream)
        for operation, request in (
            ("SendStreamingMessage", saying("one too many")),
            ("SubscribeToTask", a2a.SubscribeToTaskRequest(id="t-none")),
        ):
            with pytest.raises(Unavailable, match="has 1 streams open already") as refusal:
                await anext(ops.stream("textstats", operation, request))
            assert refusal.value.metadata == {"retry_after_s": "5", "nothing_begun": "true"}
        gate.opened.set()
        assert [frame async for frame in stream]

        async def has_room() -> bool:
            return agent.responder.streams == 0

        await until(has_room)
        assert await collected(ops, "another")
    assert gate.entered == ["held", "another"]


async def test_copies_of_updates_are_whole_and_in_order_through_an_outage(fleet_bench: Bench) -> None:
    """A task whose agent loses the server goes on: EVENTS has each of its updates once, in order, when it is back."""
    ops, slow = await caller(fleet_bench), Slow()
    async with serving(fleet_bench, "textstats", slow.skill) as agent:  # type: ignore[arg-type]
        task = await background(ops, "40")
        slow.allow(20)
        await until(lambda: agent.book._log.last_event("ops", task.id))
        fleet_bench.server.process.kill()
        await fleet_bench.server.process.wait()
        slow.allow(20)
        await fleet_bench.server.start()
        await until(lambda: _is_completed(ops, task.id), timeout_s=30)
        await agent.book.settle()
    admin = await administrator(fleet_bench, names.ACCOUNT_BUS)
    config = {"name": "copies", "ack_policy": "none", "filter_subject": f"a2a.v1.evt.textstats.ops.{task.id}"}
    await call(admin, f"CONSUMER.CREATE.{names.EVENTS}.copies", {"stream_name": names.EVENTS, "config": config})
    messages = await pull_some(Puller(admin, names.EVENTS, "copies"), 43)
    numbers = [int(message.headers[names.EVENT]) for message in messages]
    assert numbers == list(range(1, 44))  # submitted, working, 40 words, completed


async def _is_completed(ops: Caller, task: str) -> bool:
    with suppress(Unavailable, DeadlineExceeded):
        return (await ops.get_task("textstats", task, timeout_s=1)).status.state == a2a.COMPLETED
    return False
