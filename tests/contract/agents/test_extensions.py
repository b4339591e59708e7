"""Extensions of A2A: what a card requires must be declared, and what a caller declares reaches the skill."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from a2a.client.client import ClientCallContext, ClientConfig
from a2a.client.client_factory import ClientFactory
from a2a.client.service_parameters import ServiceParametersFactory, with_a2a_extensions
from a2a.utils.errors import ExtensionSupportRequiredError

from agents.skill import Context, skill
from bus.sdk_transport import BINDING_URI, caller_at, card_of, over_nats
from schemas import a2a, names
from schemas.errors import ExtensionSupportRequired, InvalidArgument, TaskNotFound
from tests.contract.bus.binding_client import BindingClient, Refused
from tests.contract.bus.test_sdk_client import request as asked
from tests.harness.agent import caller, saying, serving, trail
from tests.harness.fleet import Bench, bench, until

NEEDED, OPTIONAL = "https://example.com/needed/v1", "urn:example:optional"
FILE = f"""\
agent: {{id: textstats, description: Speaks two extensions.}}
handler: handler.py:nothing
extensions:
  - {{uri: "{NEEDED}", required: true, params: {{level: 2}}}}
  - {{uri: "{OPTIONAL}", description: Nice to have.}}
limits: {{requests_per_s: 0}}
"""
HANDLER = """\
from agents.skill import Context, skill


@skill(description="Is replaced by the tests.")
async def nothing(request: str, ctx: Context) -> str:
    return request
"""


@pytest.fixture
async def extended(tmp_path: Path) -> AsyncIterator[Bench]:
    """A fleet whose textstats requires one extension and lists another."""
    async with bench(tmp_path, agents={"textstats": (FILE, HANDLER)}) as running:
        yield running


@skill(description="Says which extensions the caller declares.", id="told")
async def told(request: str, ctx: Context) -> str:
    return " ".join(sorted(ctx.extensions))


async def test_the_card_lists_them(extended: Bench) -> None:
    """Also to who declares nothing: the card is where a client learns what it needs."""
    async with serving(extended, "textstats", told):
        card = await (await caller(extended)).get_card("textstats")
    listed = {extension.uri: extension for extension in card.capabilities.extensions}
    assert (listed[NEEDED].required, listed[NEEDED].params) == (True, {"level": 2})
    assert (listed[OPTIONAL].required, listed[OPTIONAL].description) == (False, "Nice to have.")
    assert not listed[a2a.RELEASE_URI].required


async def test_who_does_not_declare_what_is_required_is_refused(extended: Bench) -> None:
    """Messages, in one piece or as a stream, are 400 and name what is missing; nothing runs. Looking is free."""
    async with serving(extended, "textstats", told) as agent:
        ops = await caller(extended)
        for calls in (ops, ops.declaring(OPTIONAL), ops.declaring(NEEDED + "0")):
            with pytest.raises(ExtensionSupportRequired, match=NEEDED) as refusal:
                await calls.send_message("textstats", saying("x"))
            with pytest.raises(ExtensionSupportRequired, match=NEEDED):
                await anext(calls.stream("textstats", "SendStreamingMessage", saying("x")))
        assert (await ops.list_tasks("textstats")).tasks == ()
        changed = await trail(extended, agent, kind="task.changed")
    assert (refusal.value.code, refusal.value.domain) == (400, "a2a-protocol.org")
    assert changed == []


async def test_what_is_declared_reaches_the_skill(extended: Bench) -> None:
    """Of what a caller declares, the skill sees what the card lists; white space and order do not matter."""
    async with serving(extended, "textstats", told):
        calls = (await caller(extended)).declaring(NEEDED, OPTIONAL, "urn:example:unknown")
        answer = await calls.send_message("textstats", saying("x"))
        states = [update async for update in calls.stream("textstats", "SendStreamingMessage", saying("x"))]
        seed = str(extended.home.credentials("ops") / names.BUS_CREDENTIAL)
        plain = await BindingClient.connect(extended.server.url, "ops", seed)
        message = {"message": {"messageId": "1", "role": "ROLE_USER", "parts": [{"text": "x"}]}}
        said = await plain.ask("textstats", "SendMessage", message, **{"a2a-extensions": f"urn:x:y , {NEEDED} "})
        with pytest.raises(Refused) as refusal:
            await plain.ask("textstats", "SendMessage", message)
        await plain.connection.close()
    assert answer.message is not None
    assert answer.message.text() == f"{NEEDED} {OPTIONAL}"
    assert states[-1].status_update is not None
    assert states[-1].status_update.status.state == a2a.COMPLETED
    assert said["message"]["parts"][0]["text"] == NEEDED
    assert refusal.value.reason == "EXTENSION_SUPPORT_REQUIRED"


async def test_a_durable_task_needs_them_too(extended: Bench) -> None:
    """It is REJECTED with the reason, or done."""
    async with serving(extended, "textstats", told):
        ops = await caller(extended)
        refused = await _ended(extended, await ops.leave_task("textstats", saying("x")))
        done = await _ended(extended, await ops.declaring(NEEDED).leave_task("textstats", saying("x")))
    assert refused.status.state == a2a.REJECTED
    assert refused.status.message is not None
    assert NEEDED in refused.status.message.text()
    assert (done.status.state, done.artifacts[0].parts[0].text) == (a2a.COMPLETED, NEEDED)


async def _ended(running: Bench, task: str) -> a2a.Task:
    looking = await caller(running)

    async def ended() -> a2a.Task | None:
        try:
            found = await looking.get_task("textstats", task)
        except TaskNotFound:
            return None
        return found if found.is_final else None

    found = await until(ended)
    assert found is not None
    return found


async def test_the_sdks_client_declares_by_its_own_means(extended: Bench) -> None:
    """`with_a2a_extensions` in the call's context is carried; without it the SDK's own error is raised."""
    key = extended.home.credentials("ops") / names.BUS_CREDENTIAL
    async with serving(extended, "textstats", told), caller_at(extended.server.url, "ops", key) as calls:
        factory = ClientFactory(ClientConfig(supported_protocol_bindings=[BINDING_URI], streaming=False))
        factory.register(BINDING_URI, over_nats(calls))
        client = factory.create(await card_of(calls, "textstats"))
        parameters = ServiceParametersFactory.create([with_a2a_extensions([OPTIONAL, NEEDED])])
        context = ClientCallContext(service_parameters=parameters)
        (answer,) = [response async for response in client.send_message(asked("x"), context=context)]
        with pytest.raises(ExtensionSupportRequiredError):
            _ = [response async for response in client.send_message(asked("x"))]
    assert answer.message.parts[0].text == f"{NEEDED} {OPTIONAL}"


async def test_a_header_holds_uris_and_nothing_else(extended: Bench) -> None:
    """A comma or a line break in what a program declares is its own error, before anything is sent."""
    ops = await caller(extended)
    for uri in ("a:b,c:d", "a:b\r\nAgentbus-Chain: x"):
        with pytest.raises(InvalidArgument):
            ops.declaring(uri)


async def test_answers_name_the_extensions_that_were_active(extended: Bench) -> None:
    """Those declared and listed, in an answer and in each frame of a stream; none where nothing was declared."""
    headers = {names.A2A_VERSION: "1.0"}
    declared = headers | {"a2a-extensions": f"urn:example:unknown, {NEEDED}"}
    message = b'{"message": {"messageId": "1", "role": "ROLE_USER", "parts": [{"text": "x"}]}}'
    async with serving(extended, "textstats", told):
        ops = (await extended.attacker("ops")).client
        plain = await ops.request("a2a.v1.req.textstats.ops.GetExtendedAgentCard", b"{}", timeout=10, headers=headers)
        answer = await ops.request("a2a.v1.req.textstats.ops.SendMessage", message, timeout=10, headers=declared)
        frames = await ops.subscribe("_INBOX.ops.frames")
        stream = "a2a.v1.req.textstats.ops.SendStreamingMessage"
        await ops.publish(stream, message, reply="_INBOX.ops.frames", headers=declared)
        first = await frames.next_msg(timeout=10)
    assert plain.headers is not None
    assert names.A2A_EXTENSIONS not in plain.headers
    for said in (answer.headers, first.headers):
        assert said is not None
        assert said[names.A2A_EXTENSIONS] == NEEDED
