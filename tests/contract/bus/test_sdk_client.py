"""The official SDK's own client, over NATS, against an agent of ours: every operation and its errors."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from a2a.client.client import Client, ClientCallContext, ClientConfig
from a2a.client.client_factory import ClientFactory
from a2a.client.errors import A2AClientError, A2AClientTimeoutError
from a2a.types import a2a_pb2 as sdk
from a2a.utils.errors import InvalidParamsError, TaskNotCancelableError, TaskNotFoundError

from agents.skill import Skill
from bus.sdk_transport import BINDING_URI, NatsTransport, caller_at, card_of, over_nats
from schemas import names
from tests.contract.agents.skills import Gate, echo
from tests.contract.bus.test_streaming import tell, words
from tests.harness.agent import serving
from tests.harness.fleet import Bench, until


@asynccontextmanager
async def sdk_client(bench: Bench, *, streaming: bool = True) -> AsyncIterator[Client]:
    """The SDK's client for textstats, connected as the operator with nothing but URL, name and key file."""
    key = bench.home.credentials("ops") / names.BUS_CREDENTIAL
    async with caller_at(bench.server.url, "ops", key) as caller:
        factory = ClientFactory(ClientConfig(supported_protocol_bindings=[BINDING_URI], streaming=streaming))
        factory.register(BINDING_URI, over_nats(caller))
        yield factory.create(await card_of(caller, "textstats"))


def request(text: str, *, task: str = "", return_immediately: bool = False) -> Any:
    """A message of the user with one text."""
    message = sdk.Message(message_id="m-1", role="ROLE_USER", parts=[sdk.Part(text=text)], task_id=task)
    settings = sdk.SendMessageConfiguration(return_immediately=return_immediately)
    return sdk.SendMessageRequest(message=message, configuration=settings)


async def sent(client: Client, asked: Any) -> list[Any]:
    """Every response to a message."""
    return [response async for response in client.send_message(asked)]


async def begun(client: Client, asked: Any) -> str:
    """The id of the task that a message began."""
    (response,) = await sent(client, asked)
    return str(response.task.id)


async def test_a_message_is_answered_by_a_message(fleet_bench: Bench) -> None:
    """Without streaming the SDK sends SendMessage; the answer is the skill's."""
    async with serving(fleet_bench, "textstats", echo), sdk_client(fleet_bench, streaming=False) as client:
        (response,) = await sent(client, request("grüße"))
    assert [part.text for part in response.message.parts] == ["grüße"]
    assert response.message.role == sdk.ROLE_AGENT


async def test_a_stream_is_the_task_and_its_updates(fleet_bench: Bench) -> None:
    """With streaming the SDK gets the task, its artifact in pieces, and the state with which it ends."""
    async with serving(fleet_bench, "textstats", tell), sdk_client(fleet_bench) as client:
        responses = await sent(client, request("5"))
    assert responses[0].HasField("task")
    pieces = [r.artifact_update.artifact.parts[0].text for r in responses if r.HasField("artifact_update")]
    assert "".join(pieces) == words(5)
    assert responses[-1].status_update.status.state == sdk.TASK_STATE_COMPLETED


async def test_tasks_are_found_listed_followed_and_canceled(fleet_bench: Bench) -> None:
    """GetTask, ListTasks, SubscribeToTask and CancelTask of a task that runs."""
    gate = Gate()
    async with (
        serving(fleet_bench, "textstats", gate.skill),
        sdk_client(fleet_bench, streaming=False) as client,
        sdk_client(fleet_bench) as follower,
    ):
        task = await begun(client, request("held", return_immediately=True))
        await gate.has_entered()
        found = await client.get_task(sdk.GetTaskRequest(id=task, history_length=1))
        assert found.status.state == sdk.TASK_STATE_WORKING
        assert found.history[0].parts[0].text == "held"
        listed = await client.list_tasks(sdk.ListTasksRequest(page_size=10))
        assert [one.id for one in listed.tasks] == [task]
        updates = follower.subscribe(sdk.SubscribeToTaskRequest(id=task))
        assert (await anext(updates)).task.id == task
        canceled = await client.cancel_task(sdk.CancelTaskRequest(id=task))
        followed = [response async for response in updates]
    assert canceled.status.state == sdk.TASK_STATE_CANCELED
    assert followed[-1].status_update.status.state == sdk.TASK_STATE_CANCELED


async def test_push_configurations_are_kept(fleet_bench: Bench) -> None:
    """Create, get, list and delete, each through the SDK's client."""
    gate = Gate()
    async with serving(fleet_bench, "textstats", gate.skill), sdk_client(fleet_bench, streaming=False) as client:
        task = await begun(client, request("held", return_immediately=True))
        wanted = sdk.TaskPushNotificationConfig(task_id=task, id="c-1", url="https://example.com/hook")
        made = await client.create_task_push_notification_config(wanted)
        one = sdk.GetTaskPushNotificationConfigRequest(task_id=task, id="c-1")
        assert await client.get_task_push_notification_config(one) == made
        every = sdk.ListTaskPushNotificationConfigsRequest(task_id=task)
        assert list((await client.list_task_push_notification_configs(every)).configs) == [made]
        gone = sdk.DeleteTaskPushNotificationConfigRequest(task_id=task, id="c-1")
        await client.delete_task_push_notification_config(gone)
        assert list((await client.list_task_push_notification_configs(every)).configs) == []
        gate.opened.set()


async def test_the_extended_card_is_the_agents(fleet_bench: Bench) -> None:
    """GetExtendedAgentCard names the agent, the binding and where it is reached."""
    async with serving(fleet_bench, "textstats", echo), sdk_client(fleet_bench) as client:
        card = await client.get_extended_agent_card(sdk.GetExtendedAgentCardRequest())
    assert card.name == "textstats"
    (interface,) = card.supported_interfaces
    assert (interface.protocol_binding, interface.url) == (BINDING_URI, "nats:a2a.v1.req.textstats")


async def test_errors_are_the_sdks_own(fleet_bench: Bench) -> None:
    """A refusal is the exception that the SDK raises over HTTP: not found, not cancelable, invalid, late, away."""
    gate = Gate()
    skills: tuple[Skill, ...] = (echo, gate.skill)
    async with sdk_client_of(fleet_bench, skills) as client:
        with pytest.raises(TaskNotFoundError):
            await client.get_task(sdk.GetTaskRequest(id="t-none"))
        done = await begun(client, request("a", return_immediately=True))

        async def has_ended() -> bool:
            task = await client.get_task(sdk.GetTaskRequest(id=done))
            return bool(task.status.state == sdk.TASK_STATE_COMPLETED)

        await until(has_ended)
        with pytest.raises(TaskNotCancelableError):
            await client.cancel_task(sdk.CancelTaskRequest(id=done))
        with pytest.raises(InvalidParamsError):
            await sent(client, sdk.SendMessageRequest(message=sdk.Message(message_id="m", role="ROLE_USER")))
        late = request("held")
        late.message.metadata.update({"skill": "held"})
        with pytest.raises(A2AClientTimeoutError):
            async for _ in client.send_message(late, context=ClientCallContext(timeout=0.2)):
                pass
    async with caller_at(fleet_bench.server.url, "ops", fleet_bench.home.credentials("ops") / "bus.nk") as caller:
        with pytest.raises(A2AClientError, match="nobody serves textstats"):
            await NatsTransport(caller, "nats:a2a.v1.req.textstats").get_task(sdk.GetTaskRequest(id="t"))


@asynccontextmanager
async def sdk_client_of(bench: Bench, skills: tuple[Skill, ...]) -> AsyncIterator[Client]:
    """A client without streaming, of an agent with these skills."""
    async with serving(bench, "textstats", *skills), sdk_client(bench, streaming=False) as client:
        yield client


async def test_a_url_of_another_binding_is_refused(fleet_bench: Bench) -> None:
    """A card's interface that is not of this binding is an error, not a request to whatever it names."""
    key = fleet_bench.home.credentials("ops") / names.BUS_CREDENTIAL
    async with caller_at(fleet_bench.server.url, "ops", key) as caller:
        with pytest.raises(ValueError, match="not the URL of this binding"):
            NatsTransport(caller, "https://example.com")
