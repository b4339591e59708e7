"""The A2A operations on tasks, over a real server and between instances: list, cancel, continue, steer, notify."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from agents.skill import Context, skill
from bus.requests.caller import Caller
from schemas import a2a
from schemas.errors import InvalidArgument, TaskNotCancelable, TaskNotFound, UnsupportedOperation
from tests.contract.agents.skills import Gate, echo
from tests.harness.agent import Agent, caller, reaches, saying, serving
from tests.harness.fleet import Bench


@skill(description="Asks for a size and a colour before it orders.")
async def order(request: str, ctx: Context) -> str:
    size = await ctx.input_required("Which size?")
    colour = await ctx.input_required("Which colour?")
    return f"{request}: {size.text()}, {colour.text()}"


@skill(description="Repeats what it is told while it works, until it is told to stop.")
async def listening(request: str, ctx: Context) -> str:
    heard = [request]
    while heard[-1] != "stop":
        heard.append((await ctx.next_message()).text())
        await ctx.progress(f"heard {heard[-1]}")
    return " ".join(heard)


def further(text: str, task: a2a.Task, *, return_immediately: bool = False) -> a2a.SendMessageRequest:
    """A further message to a task."""
    request = saying(text, return_immediately=return_immediately)
    return msgspec.structs.replace(request, message=msgspec.structs.replace(request.message, task_id=task.id))


async def background(ops: Caller, text: str, *, context: str = "") -> a2a.Task:
    """A task that was answered before it was done."""
    answer = await ops.send_message("textstats", saying(text, context=context, return_immediately=True))
    assert answer.task is not None
    return answer.task


def answer_of(task: a2a.Task) -> str:
    """The text of all artifacts."""
    return "".join(str(part.text) for artifact in task.artifacts for part in artifact.parts)


async def test_a_task_that_needs_input_asks_and_goes_on_with_the_answers(fleet_bench: Bench) -> None:
    """INPUT_REQUIRED has the question; each answer brings the task on, whichever instance gets it; the end has both."""
    ops = await caller(fleet_bench)
    async with serving(fleet_bench, "textstats", order):
        asked = (await ops.send_message("textstats", saying("shirt"))).task
        assert asked is not None
        assert asked.status.state == a2a.INPUT_REQUIRED
        assert asked.status.message is not None
        assert asked.status.message.text() == "Which size?"
    async with serving(fleet_bench, "textstats", order, slot="1"):
        again = (await ops.send_message("textstats", further("large", asked))).task
        assert again is not None
        assert (again.id, again.context_id) == (asked.id, asked.context_id)
        assert again.status.message is not None
        assert again.status.message.text() == "Which colour?"
        done = (await ops.send_message("textstats", further("red", asked))).task
    assert done is not None
    assert (done.status.state, answer_of(done)) == (a2a.COMPLETED, "shirt: large, red")
    said = [message.text() for message in done.history]
    assert said == ["shirt", "Which size?", "large", "Which colour?", "red"]


async def test_a_message_of_another_context_is_refused(fleet_bench: Bench) -> None:
    """A context is kept or refused, never replaced."""
    ops = await caller(fleet_bench)
    async with serving(fleet_bench, "textstats", order):
        asked = (await ops.send_message("textstats", saying("shirt", context="c-mine"))).task
        assert asked is not None
        assert asked.context_id == "c-mine"
        request = further("large", asked)
        other = msgspec.structs.replace(request, message=msgspec.structs.replace(request.message, context_id="c-other"))
        with pytest.raises(InvalidArgument, match="contextId"):
            await ops.send_message("textstats", other)


async def test_a_message_reaches_a_running_task_at_whatever_instance(fleet_bench: Bench) -> None:
    """A working task hears what its caller adds; the messages are in its history."""
    ops = await caller(fleet_bench)
    async with serving(fleet_bench, "textstats", listening), serving(fleet_bench, "textstats", listening, slot="1"):
        task = await background(ops, "go")
        await reaches(ops, task.id, a2a.WORKING)
        for text in ("left", "right", "left"):
            await ops.send_message("textstats", further(text, task, return_immediately=True))
        done = (await ops.send_message("textstats", further("stop", task))).task
    assert done is not None
    assert answer_of(done) == "go left right left stop"
    assert [message.text() for message in done.history] == ["go", "left", "right", "left", "stop"]


async def test_a_task_that_has_ended_takes_no_message(fleet_bench: Bench) -> None:
    """A message to an ended task is an unsupported operation, to one that does not exist not found."""
    ops = await caller(fleet_bench)
    async with serving(fleet_bench, "textstats", echo):
        task = await background(ops, "hello")
        await reaches(ops, task.id, a2a.COMPLETED)
        with pytest.raises(UnsupportedOperation, match="completed"):
            await ops.send_message("textstats", further("more", task))
        stranger = msgspec.structs.replace(task, id="t-nobody")
        with pytest.raises(TaskNotFound):
            await ops.send_message("textstats", further("more", stranger))


async def test_cancel_stops_the_work_at_whatever_instance(fleet_bench: Bench) -> None:
    """The handler is stopped where it runs, the task is CANCELED, and canceling again changes nothing."""
    gate, ops = Gate(), await caller(fleet_bench)
    async with serving(fleet_bench, "textstats", gate.skill):
        task = await background(ops, "held")
        await gate.has_entered()
        async with serving(fleet_bench, "textstats", echo, slot="1"):
            canceled = [await ops.cancel_task("textstats", task.id) for _ in range(4)]
        assert {found.status.state for found in canceled} == {a2a.CANCELED}
        assert gate.cancelled == ["held"]
        assert gate.left == []


async def test_a_durable_task_that_was_canceled_is_not_run_again(fleet_bench: Bench) -> None:
    """A canceled durable task is acknowledged: nobody takes it up."""
    gate, ops = Gate(), await caller(fleet_bench)
    async with serving(fleet_bench, "textstats", gate.skill):
        task = await ops.leave_task("textstats", saying("held"))
        await gate.has_entered()
        assert (await ops.cancel_task("textstats", task)).status.state == a2a.CANCELED
        after = await ops.leave_task("textstats", saying("next"))
        await gate.has_entered(2)
        gate.opened.set()
        await reaches(ops, after, a2a.COMPLETED)
    assert (gate.entered, gate.cancelled) == (["held", "next"], ["held"])


async def test_what_has_ended_cannot_be_canceled(fleet_bench: Bench) -> None:
    """Canceling a completed task is refused, another caller's is not found."""
    ops, greeter = await caller(fleet_bench), await caller(fleet_bench, "concierge")
    async with serving(fleet_bench, "textstats", echo):
        task = await background(ops, "hello")
        await reaches(ops, task.id, a2a.COMPLETED)
        with pytest.raises(TaskNotCancelable):
            await ops.cancel_task("textstats", task.id)
        with pytest.raises(TaskNotFound):
            await greeter.cancel_task("textstats", task.id)


async def test_a_task_whose_instance_is_gone_is_failed_when_it_is_looked_at(
    fleet_bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Work that nobody does any more, and nothing begins again, does not stand as WORKING for ever."""
    monkeypatch.setattr("bus.outage.PATIENCE_S", 1.0)  # the dead instance would try to store its end for that long
    gate, ops = Gate(), await caller(fleet_bench)
    async with serving(fleet_bench, "textstats", gate.skill) as agent:
        task = await background(ops, "held")
        await gate.has_entered()
        await agent.die()
    async with serving(fleet_bench, "textstats", echo, slot="1"):
        found = await ops.get_task("textstats", task.id)
        assert found.status.state == a2a.FAILED
        assert found.status.message is not None
        assert "ended" in found.status.message.text()


async def _ended(ops: Caller, count: int, context: str) -> list[str]:
    return [
        (await reaches(ops, (await background(ops, f"{number}", context=context)).id, a2a.COMPLETED)).id
        for number in range(count)
    ]


async def test_tasks_are_listed_in_pages_newest_first(fleet_bench: Bench) -> None:
    """Pages hold each task once, newest status first; totals, filters and what is shown are as asked for."""
    ops = await caller(fleet_bench)
    async with serving(fleet_bench, "textstats", echo):
        ids = await _ended(ops, 5, "c-one") + await _ended(ops, 2, "c-two")
        first = await ops.list_tasks("textstats", a2a.ListTasksRequest(page_size=3))
        assert (first.total_size, first.page_size, len(first.tasks)) == (7, 3, 3)
        seen, token = [task.id for task in first.tasks], first.next_page_token
        while token:
            page = await ops.list_tasks("textstats", a2a.ListTasksRequest(page_size=3, page_token=token))
            seen, token = seen + [task.id for task in page.tasks], page.next_page_token
        assert seen == ids[::-1]
        assert not any(task.artifacts or task.history for task in first.tasks)
        two = await ops.list_tasks("textstats", a2a.ListTasksRequest(context_id="c-two", include_artifacts=True))
        assert [answer_of(task) for task in two.tasks] == ["1", "0"]
        working = await ops.list_tasks("textstats", a2a.ListTasksRequest(status=a2a.WORKING))
        assert (working.total_size, working.next_page_token) == (0, "")


@pytest.mark.parametrize("change", [{"page_size": 0}, {"page_size": 101}, {"page_token": "?"}, {"history_length": -1}])
async def test_a_page_that_cannot_be_is_refused(fleet_bench: Bench, change: dict[str, object]) -> None:
    """A bad size, token or length is named."""
    ops = await caller(fleet_bench)
    async with serving(fleet_bench, "textstats", echo):
        await _ended(ops, 1, "")
        request = msgspec.structs.replace(a2a.ListTasksRequest(), **change)
        with pytest.raises(InvalidArgument, match=r"must|token|Token"):
            await ops.list_tasks("textstats", request)


async def test_nobody_lists_anothers_tasks(fleet_bench: Bench) -> None:
    """A list holds the caller's own tasks only."""
    ops, other = await caller(fleet_bench), await caller(fleet_bench, "concierge")
    async with serving(fleet_bench, "textstats", echo):
        await _ended(ops, 2, "")
        assert (await other.list_tasks("textstats")).total_size == 0


def _config(task: a2a.Task, url: str, identity: str = "") -> a2a.TaskPushNotificationConfig:
    return a2a.TaskPushNotificationConfig(task_id=task.id, id=identity, url=url, token="for-the-receiver")


async def _configs(agent: Agent, ops: Caller, task: a2a.Task) -> list[str]:
    request = a2a.ListTaskPushNotificationConfigsRequest(task_id=task.id)
    answer = await ops.call(
        agent.id, "ListTaskPushNotificationConfigs", request, a2a.ListTaskPushNotificationConfigsResponse, timeout_s=5
    )
    return sorted(config.id for config in answer.configs)


async def test_push_notification_configurations_are_kept(fleet_bench: Bench) -> None:
    """Create, replace, get, list and delete; a bad address is refused; another caller finds nothing."""
    ops, other = await caller(fleet_bench), await caller(fleet_bench, "concierge")
    async with serving(fleet_bench, "textstats", echo) as agent:
        task = await background(ops, "hello")
        create, kind = "CreateTaskPushNotificationConfig", a2a.TaskPushNotificationConfig
        made = await ops.call(agent.id, create, _config(task, "https://one.example/a"), kind, timeout_s=5)
        await ops.call(agent.id, create, _config(task, "https://one.example/b", "mine"), kind, timeout_s=5)
        await ops.call(agent.id, create, _config(task, "https://one.example/c", "mine"), kind, timeout_s=5)
        assert await _configs(agent, ops, task) == sorted([made.id, "mine"])
        wanted = a2a.GetTaskPushNotificationConfigRequest(task_id=task.id, id="mine")
        found = await ops.call(agent.id, "GetTaskPushNotificationConfig", wanted, kind, timeout_s=5)
        assert (found.url, found.token) == ("https://one.example/c", "for-the-receiver")
        with pytest.raises(InvalidArgument, match="url"):
            await ops.call(agent.id, create, _config(task, "file:///etc/passwd"), kind, timeout_s=5)
        with pytest.raises(TaskNotFound):
            await other.call(agent.id, "GetTaskPushNotificationConfig", wanted, kind, timeout_s=5)
        gone = a2a.DeleteTaskPushNotificationConfigRequest(task_id=task.id, id="mine")
        for _ in range(2):
            await ops.call(agent.id, "DeleteTaskPushNotificationConfig", gone, a2a.Empty, timeout_s=5)
        assert await _configs(agent, ops, task) == [made.id]


def _with_config(request: a2a.SendMessageRequest, url: str) -> a2a.SendMessageRequest:
    config = a2a.TaskPushNotificationConfig(url=url, id="mine", token="for-the-receiver")
    settings = msgspec.structs.replace(request.configuration, task_push_notification_config=config)
    return msgspec.structs.replace(request, configuration=settings)


async def test_a_configuration_comes_with_the_message_that_begins_its_task(fleet_bench: Bench) -> None:
    """It is kept with a task in the background, one that asks its caller, and one that goes on; a bad one is refused
    before there is a task."""
    ops = await caller(fleet_bench)
    async with serving(fleet_bench, "textstats", order) as agent:
        shirt = saying("shirt", return_immediately=True)
        opened = (await ops.send_message("textstats", _with_config(shirt, "https://one.example/a"))).task
        asked = (await ops.send_message("textstats", _with_config(saying("hat"), "https://one.example/b"))).task
        plain = (await ops.send_message("textstats", saying("shoe"))).task
        assert opened is not None
        assert asked is not None
        assert plain is not None
        assert await _configs(agent, ops, plain) == []
        answered = _with_config(further("large", plain, return_immediately=True), "https://one.example/c")
        await ops.send_message("textstats", answered)
        for task in (opened, asked, plain):
            assert await _configs(agent, ops, task) == ["mine"]
        with pytest.raises(InvalidArgument, match="url"):
            await ops.send_message("textstats", _with_config(shirt, "file:///etc/passwd"))
        assert (await ops.list_tasks("textstats")).total_size == 3


async def test_a_task_has_at_most_sixteen_configurations(fleet_bench: Bench) -> None:
    """The seventeenth is refused with what to do; another in the place of one of them is not."""
    ops, create, kind = (
        await caller(fleet_bench),
        "CreateTaskPushNotificationConfig",
        a2a.TaskPushNotificationConfig,
    )
    async with serving(fleet_bench, "textstats", echo) as agent:
        task = await background(ops, "hello")
        for number in range(16):
            config = _config(task, "https://one.example/a", f"c-{number}")
            await ops.call(agent.id, create, config, kind, timeout_s=5)
        with pytest.raises(InvalidArgument, match="delete one first"):
            await ops.call(agent.id, create, _config(task, "https://one.example/a", "one-more"), kind, timeout_s=5)
        again = await ops.call(agent.id, create, _config(task, "https://one.example/b", "c-3"), kind, timeout_s=5)
        assert again.url == "https://one.example/b"
        assert len(await _configs(agent, ops, task)) == 16


async def test_a_canceled_handler_that_does_not_stop_is_left_behind(
    fleet_bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The task is CANCELED even when its handler swallows the cancellation, and stays so when the handler ends."""
    monkeypatch.setattr("agents.runtime.tasks.runs._STOP_S", 0.05)
    opened, entered = asyncio.Event(), asyncio.Event()

    @skill(description="Does not let itself be stopped.")
    async def stubborn(request: str, ctx: Context) -> str:
        entered.set()
        while not opened.is_set():
            try:
                await opened.wait()
            except asyncio.CancelledError:
                continue
        return request

    ops = await caller(fleet_bench)
    async with serving(fleet_bench, "textstats", stubborn):
        task = await background(ops, "held")
        await asyncio.wait_for(entered.wait(), 30)
        assert (await ops.cancel_task("textstats", task.id)).status.state == a2a.CANCELED
        opened.set()
    async with serving(fleet_bench, "textstats", echo, slot="1"):
        assert (await ops.get_task("textstats", task.id)).status.state == a2a.CANCELED
