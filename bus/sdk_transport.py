"""The official A2A SDK's client over NATS: `pip install 'agentbus[a2a]'`.

    async with caller_at("nats://127.0.0.1:4222", "ops", Path("credentials/ops/bus.nk")) as caller:
        factory = ClientFactory(ClientConfig(supported_protocol_bindings=[BINDING_URI]))
        factory.register(BINDING_URI, over_nats(caller))
        client = factory.create(await card_of(caller, "greeter"))
        async for response in client.send_message(request):
            ...

Guarantees are those of `bus.requests.caller`; a stream that broke is taken up again unseen. Of a call's
context the timeout and the declared extensions (`with_a2a_extensions`) count; `tenant`, which is the path of a
gateway, is not carried.

Source: a2a-sdk 1.3 (`ClientTransport`, `ClientFactory.register`).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

try:
    from a2a.client.client import ClientCallContext, ClientConfig
    from a2a.client.errors import A2AClientError, A2AClientTimeoutError
    from a2a.client.transports.base import ClientTransport
    from a2a.extensions.common import HTTP_EXTENSION_HEADER, get_requested_extensions
    from a2a.types import a2a_pb2 as sdk
    from a2a.utils.errors import A2A_REASON_TO_ERROR, InvalidParamsError
    from google.protobuf.json_format import MessageToJson, Parse
    from google.protobuf.message import Message
except ImportError as error:
    raise ImportError(f"the A2A SDK cannot be used ({error}); run: pip install 'agentbus[a2a]'") from error

from bus.connection import Connection, Profile
from bus.credentials import Credential
from bus.part_store import OwnAccount
from bus.parts import large_parts
from bus.requests.caller import Caller
from schemas import a2a, names, protojson
from schemas.errors import A2AError, DeadlineExceeded, InvalidArgument

BINDING_URI = a2a.BINDING_URI
_URL = "nats:a2a.v1.req."
_TIMEOUT_S = 60.0


@asynccontextmanager
async def caller_at(url: str, name: str, key: Path) -> AsyncIterator[Caller]:
    """A caller that is the operator `name` of the fleet at `url`; `key` is its key file.

    Raises:
        CredentialMissing: there is no key file, or others can read it. ConnectionRefused: the server is away.
    """
    profile = Profile(
        url=url,
        credential=Credential.find(key.parent, key.name),
        name=name,
        inbox_prefix=names.tool_inbox_prefix(name),
        wait_for_server=False,
    )
    connection = await Connection.open(profile)
    own = OwnAccount(connection)
    try:
        caller = Caller(connection, name, parts=large_parts(name, own))
        await caller.start()
        yield caller
    finally:
        await own.close()
        await connection.close()


async def card_of(caller: Caller, agent: str) -> sdk.AgentCard:
    """The agent's card as the SDK's type."""
    card: sdk.AgentCard = _theirs(await caller.get_card(agent), sdk.AgentCard)
    return card


def over_nats(caller: Caller) -> Callable[[sdk.AgentCard, str, ClientConfig], ClientTransport]:
    """What `ClientFactory.register` takes for `BINDING_URI`. The caller stays open when a client is closed."""

    def produce(_card: sdk.AgentCard, url: str, _config: ClientConfig) -> ClientTransport:
        return NatsTransport(caller, url)

    return produce


class NatsTransport(ClientTransport):
    """The eleven operations of one agent, named by its card's URL `nats:a2a.v1.req.<agent>`."""

    def __init__(self, caller: Caller, url: str) -> None:
        if not url.startswith(_URL):
            raise ValueError(f"{url!r} is not the URL of this binding; it begins with {_URL}")
        self._caller = caller
        self._agent = url.removeprefix(_URL)

    async def send_message(self, request: Any, *, context: ClientCallContext | None = None) -> Any:
        """SendMessage."""
        return await self._ask("SendMessage", request, a2a.SendMessageRequest, a2a.SendMessageResponse, context)

    async def send_message_streaming(
        self, request: Any, *, context: ClientCallContext | None = None
    ) -> AsyncGenerator[Any, None]:
        """SendStreamingMessage."""
        async for response in self._stream("SendStreamingMessage", request, a2a.SendMessageRequest, context):
            yield response

    async def get_task(self, request: Any, *, context: ClientCallContext | None = None) -> Any:
        """GetTask."""
        return await self._ask("GetTask", request, a2a.GetTaskRequest, a2a.Task, context)

    async def list_tasks(self, request: Any, *, context: ClientCallContext | None = None) -> Any:
        """ListTasks."""
        return await self._ask("ListTasks", request, a2a.ListTasksRequest, a2a.ListTasksResponse, context)

    async def cancel_task(self, request: Any, *, context: ClientCallContext | None = None) -> Any:
        """CancelTask."""
        return await self._ask("CancelTask", request, a2a.CancelTaskRequest, a2a.Task, context)

    async def create_task_push_notification_config(
        self, request: Any, *, context: ClientCallContext | None = None
    ) -> Any:
        """CreateTaskPushNotificationConfig."""
        kind = a2a.TaskPushNotificationConfig
        return await self._ask("CreateTaskPushNotificationConfig", request, kind, kind, context)

    async def get_task_push_notification_config(self, request: Any, *, context: ClientCallContext | None = None) -> Any:
        """GetTaskPushNotificationConfig."""
        asked, answer = a2a.GetTaskPushNotificationConfigRequest, a2a.TaskPushNotificationConfig
        return await self._ask("GetTaskPushNotificationConfig", request, asked, answer, context)

    async def list_task_push_notification_configs(
        self, request: Any, *, context: ClientCallContext | None = None
    ) -> Any:
        """ListTaskPushNotificationConfigs."""
        asked, answer = a2a.ListTaskPushNotificationConfigsRequest, a2a.ListTaskPushNotificationConfigsResponse
        return await self._ask("ListTaskPushNotificationConfigs", request, asked, answer, context)

    async def delete_task_push_notification_config(
        self, request: Any, *, context: ClientCallContext | None = None
    ) -> None:
        """DeleteTaskPushNotificationConfig."""
        asked = a2a.DeleteTaskPushNotificationConfigRequest
        with _translated():
            await self._call("DeleteTaskPushNotificationConfig", _ours(request, asked), a2a.Empty, context)

    async def subscribe(self, request: Any, *, context: ClientCallContext | None = None) -> AsyncGenerator[Any, None]:
        """SubscribeToTask."""
        async for response in self._stream("SubscribeToTask", request, a2a.SubscribeToTaskRequest, context):
            yield response

    async def get_extended_agent_card(self, request: Any, *, context: ClientCallContext | None = None) -> Any:
        """GetExtendedAgentCard."""
        return await self._ask("GetExtendedAgentCard", request, a2a.GetExtendedAgentCardRequest, a2a.AgentCard, context)

    async def close(self) -> None:
        """Nothing: the connection is the caller's."""

    async def _ask(
        self,
        operation: str,
        request: Message,
        asked: type[a2a.A2AObject],
        answer: type[a2a.A2AObject],
        context: ClientCallContext | None,
    ) -> Any:
        with _translated():
            ours = await self._call(operation, _ours(request, asked), answer, context)
            return _theirs(ours, getattr(sdk, answer.__name__))

    async def _call(
        self, operation: str, request: a2a.A2AObject, answer: type[a2a.A2AObject], context: ClientCallContext | None
    ) -> a2a.A2AObject:
        caller = _declaring(self._caller, context)
        return await caller.call(self._agent, operation, request, answer, timeout_s=_timeout_s(context))

    async def _stream(
        self, operation: str, request: Message, asked: type[a2a.A2AObject], context: ClientCallContext | None
    ) -> AsyncGenerator[Any, None]:
        with _translated():
            caller = _declaring(self._caller, context)
            answers = caller.stream(self._agent, operation, _ours(request, asked), timeout_s=_timeout_s(context))
            async with aclosing(answers):
                async for response in answers:
                    yield _theirs(response, sdk.StreamResponse)


def _timeout_s(context: ClientCallContext | None) -> float:
    return context.timeout if context and context.timeout else _TIMEOUT_S


def _declaring(caller: Caller, context: ClientCallContext | None) -> Caller:
    said = (context.service_parameters or {}).get(HTTP_EXTENSION_HEADER, "") if context else ""
    return caller.declaring(*sorted(get_requested_extensions([said]))) if said else caller


def _ours[T: a2a.A2AObject](message: Message, kind: type[T]) -> T:
    return protojson.decode(MessageToJson(message).encode(), kind)


def _theirs(value: a2a.A2AObject, kind: type[Any]) -> Any:
    return Parse(protojson.encode(value), kind(), ignore_unknown_fields=True)


@contextmanager
def _translated() -> Iterator[None]:
    """Errors of ours leave the block as the SDK's."""
    try:
        yield
    except A2AError as error:
        raise _error(error) from error


def _error(error: A2AError) -> Exception:
    if isinstance(error, DeadlineExceeded):
        return A2AClientTimeoutError(str(error))
    if isinstance(error, InvalidArgument):
        return InvalidParamsError(str(error))
    kind = A2A_REASON_TO_ERROR.get(error.reason, A2AClientError)
    return kind(str(error))
