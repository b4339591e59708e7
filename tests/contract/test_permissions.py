"""What each key may not do, asked of the server itself by a plain client: none of our code is in between."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import nats.errors
import pytest
from nats.aio.client import Client

from bus.connection import Connection
from bus.credentials import create_credential
from bus.errors import ConnectionRefused
from bus.jetstream import Puller
from schemas import names
from tests.harness.admin import admin_profile, administrator, stored_count
from tests.harness.fleet import Attacker, Bench, bench, credentials_of, until

BUS, OWN = names.BUS_CREDENTIAL, names.OWN_CREDENTIAL
API = "$JS.API"

STREAM_POWERS = tuple(
    f"{API}.{verb}"
    for verb in (
        "STREAM.CREATE.MINE", "STREAM.UPDATE.{0}", "STREAM.DELETE.{0}", "STREAM.PURGE.{0}", "STREAM.MSG.DELETE.{0}",
        "STREAM.MSG.GET.{0}", "STREAM.SNAPSHOT.{0}", "STREAM.RESTORE.{0}", "STREAM.NAMES", "STREAM.LIST",
        "STREAM.PEER.REMOVE.{0}", "STREAM.LEADER.STEPDOWN.{0}", "CONSUMER.CREATE.{0}", "CONSUMER.CREATE.{0}.mine",
        "CONSUMER.CREATE.{0}.mine.a2a.>", "CONSUMER.DURABLE.CREATE.{0}.mine", "CONSUMER.NAMES.{0}",
        "CONSUMER.PAUSE.{0}.greeter", "CONSUMER.MSG.NEXT.{0}.mine", "DIRECT.GET.{0}.x", "INFO",
    )
)  # fmt: skip
"""What would let somebody read, steer or destroy a stream."""


def _powers(stream: str) -> tuple[str, ...]:
    return tuple(power.format(stream) for power in STREAM_POWERS)


NOT_PUBLISHED: dict[tuple[str, str], tuple[str, ...]] = {
    ("greeter", BUS): (
        "a2a.v1.req.textstats.concierge.SendMessage",
        "a2a.v1.req.textstats.ops.SendMessage",
        "a2a.v1.req.textstats.greeter.SendMessage",
        "a2a.v1.req.greeter.greeter.SendMessage",
        "a2a.v1.rep.ops.textstats.x.1",
        "a2a.v1.rep.concierge.textstats.x.1",
        "a2a.v1.evt.textstats.ops.task-1",
        "a2a.v1.task.textstats.ops",
        "a2a.v1.task.textstats.greeter",
        "a2a.v1.req.textstats.greeter.GetExtendedAgentCard",
        "a2a.v1.dead.textstats.ops",
        "a2a.v1.dead.textstats.greeter",
        "a2a.v1.hb.textstats",
        "a2a.v1.roll.greeter",
        "a2a.v1.roll.directory",
        "_INBOX_textstats.x",
        "_INBOX_approvals.x",
        "audit.agent.greeter.0.request",
        "audit.seal",
        "approvals.propose.greeter",
        "approvals.review.reviewer.approve",
        "approvals.approve",
        "$SRV.PING",
        "$SYS.REQ.SERVER.PING",
        f"{API}.CONSUMER.MSG.NEXT.{names.TASKS}.textstats",
        f"{API}.CONSUMER.RESET.{names.TASKS}.greeter",
        f"{API}.CONSUMER.DELETE.{names.TASKS}.textstats",
        f"{API}.CONSUMER.DELETE.{names.TASKS}.greeter",
        f"$JS.ACK.{names.TASKS}.textstats.1.1.1.1.0",
        *_powers(names.TASKS),
        *_powers(names.EVENTS),
        *_powers(names.DEAD),
        f"{API}.CONSUMER.MSG.NEXT.{names.DEAD}.ops",
        f"{API}.CONSUMER.RESET.{names.DEAD}.ops",
    ),
    ("concierge", BUS): (
        "a2a.v1.req.concierge.concierge.SendMessage",
        "a2a.v1.req.textstats.greeter.SendMessage",
        "a2a.v1.task.concierge.concierge",
    ),
    ("directory", BUS): (
        *(
            f"a2a.v1.req.textstats.directory.{operation}"
            for operation in ("SendMessage", "SendStreamingMessage", "GetTask", "ListTasks", "CancelTask")
        ),
        "a2a.v1.req.textstats.ops.GetExtendedAgentCard",
        "a2a.v1.task.textstats.directory",
        "a2a.v1.hb.textstats",
        "a2a.v1.roll.ops",
        "$SRV.PING",
        *_powers(names.TASKS),
    ),
    ("greeter", OWN): (
        "audit.agent.textstats.0.request",
        "audit.sys.approvals.0.request",
        "audit.seal",
        "audit.last.textstats.0.request",
        "approvals.propose.textstats",
        "approvals.review.reviewer.approve",
        "approvals.approve",
        "approvals.apply.p-x",
        "approvals.outcome.p-x",
        "approvals.notify.p-x",
        "a2a.v1.req.textstats.greeter.SendMessage",
        "a2a.v1.rep.ops.greeter.x.1",
        "_INBOX_textstats.x",
        "_INBOX.ops.x",
        f"{API}.DIRECT.GET.{names.AUDIT}.audit.agent.greeter.0.request",
        f"{API}.STREAM.INFO.{names.AUDIT}",
        *(power for power in _powers(f"KV_{names.TASK_BUCKET}") if "DIRECT.GET" not in power),
        *_powers(names.AUDIT),
        *_powers(names.PROPOSALS),
        *_powers(names.DECISIONS),
    ),
    ("ops", BUS): (
        "a2a.v1.req.textstats.greeter.SendMessage",
        "a2a.v1.req.textstats.applier.SendMessage",
        "a2a.v1.task.textstats.greeter",
        "a2a.v1.rep.ops.textstats.x.1",
        "a2a.v1.rep.concierge.textstats.x.1",
        "a2a.v1.evt.textstats.ops.task-1",
        "a2a.v1.hb.textstats",
        "a2a.v1.hb.ops",
        "a2a.v1.roll.directory",
        "_INBOX.ops.x",
        "_INBOX.x",
        "audit.agent.greeter.0.request",
        "approvals.propose.greeter",
        "approvals.review.reviewer.approve",
        f"{API}.CONSUMER.MSG.NEXT.{names.TASKS}.textstats",
        f"$JS.ACK.{names.TASKS}.textstats.1.1.1.1.0",
        "a2a.v1.dead.textstats.ops",
        f"{API}.CONSUMER.MSG.NEXT.{names.DEAD}.other",
        f"{API}.CONSUMER.RESET.{names.DEAD}.other",
        f"{API}.DIRECT.GET.{names.DEAD}.a2a.v1.dead.textstats.ops",
        *_powers(names.TASKS),
        *_powers(names.EVENTS),
        *_powers(names.DEAD),
    ),
    ("reviewer", OWN): (
        "approvals.review.reviewer.approve",
        "approvals.review.other.approve",
        "approvals.propose.greeter",
        "approvals.apply.p-x",
        "approvals.outcome.p-x",
        "approvals.notify.p-x",
        "approvals.destroy",
        "a2a.v1.req.textstats.reviewer.SendMessage",
        "audit.agent.greeter.0.request",
        "_INBOX.x",
        f"{API}.STREAM.INFO.{names.DECISIONS}",
        *_powers(names.DECISIONS),
        *_powers(names.PROPOSALS),
    ),
    ("auditor", OWN): (
        "audit.agent.greeter.0.request",
        "audit.sys.approvals.0.request",
        "audit.seal",
        "audit.x",
        "a2a.v1.req.textstats.auditor.SendMessage",
        "approvals.list",
        *(power for power in _powers(names.AUDIT) if "DIRECT.GET" not in power),
    ),
    (names.APPROVALS, OWN): (
        "approvals.review.reviewer.approve",
        "approvals.approve",
        "approvals.propose.greeter",
        "approvals.outcome.p-x",
        "audit.agent.greeter.0.request",
        "audit.sys.applier.0.request",
        "audit.seal",
        *_powers(names.DECISIONS),
        *_powers(names.PROPOSALS),
        *_powers(names.OUTCOMES),
    ),
    (names.APPLIER, OWN): (
        "approvals.review.reviewer.approve",
        "approvals.propose.greeter",
        "approvals.apply.p-x",
        "approvals.notify.p-x",
        "audit.sys.approvals.0.request",
        f"{API}.CONSUMER.MSG.NEXT.{names.DECISIONS}.{names.APPROVALS}",
        *_powers(names.DECISIONS),
    ),
    (names.APPLIER, BUS): (
        "a2a.v1.req.textstats.ops.SendMessage",
        "a2a.v1.req.textstats.applier.GetTask",
        "a2a.v1.task.textstats.applier",
        "a2a.v1.rep.ops.textstats.x.1",
        *_powers(names.TASKS),
    ),
}

NOT_HEARD: dict[tuple[str, str], tuple[str, ...]] = {
    ("greeter", BUS): (
        ">", "*.>", "a2a.>", "a2a.v1.req.>", "a2a.v1.req.textstats.>", "a2a.v1.req.*.greeter.*", "a2a.v1.rep.>",
        "a2a.v1.rep.ops.>", "a2a.v1.rep.*.greeter.*.*", "a2a.v1.evt.>", "a2a.v1.evt.greeter.*.*",
        "a2a.v1.evt.*.ops.*", "a2a.v1.task.>", "a2a.v1.task.greeter.ops", "a2a.v1.dead.>", "a2a.v1.dead.greeter.*", "_INBOX.>", "_INBOX.ops.>", "_INBOX.*.x",
        "_INBOX_textstats.>", "$JS.>", "$JS.ACK.>", "$JS.EVENT.ADVISORY.>", "$SYS.>",
        "audit.>", "approvals.>",
    ),
    ("greeter", OWN): (
        ">", "audit.>", "audit.agent.greeter.>", "approvals.>", "_INBOX.>", "_INBOX_textstats.>", "$KV.>", "$JS.>",
        "$SYS.>", "a2a.v1.req.greeter.>",
    ),
    ("directory", BUS): (">", "a2a.>", "a2a.v1.req.>", "a2a.v1.rep.>", "a2a.v1.req.textstats.>", "_INBOX.>"),
    ("ops", BUS): (
        ">", "a2a.v1.req.>", "a2a.v1.req.ops.>", "a2a.v1.rep.>", "a2a.v1.rep.greeter.>", "a2a.v1.evt.>",
        "a2a.v1.task.>", "a2a.v1.dead.>", "a2a.v1.dead.*.ops", "_INBOX.>", "_INBOX.other.>", "_INBOX_greeter.>", "$JS.>", "$SYS.>",
    ),
    ("reviewer", OWN): (">", "approvals.>", "approvals.*", "approvals.approve", "approvals.review.>", "$SYS.>", "$JS.>"),
    ("auditor", OWN): (">", "audit.>", "audit.seal", "_INBOX.>", "_INBOX_approvals.>", "$JS.>", "$SYS.>"),
    (names.APPROVALS, OWN): (">", "approvals.>", "audit.>", "_INBOX.>", "_INBOX_applier.>", "$JS.>"),
    (names.APPLIER, OWN): (">", "approvals.review.>", "approvals.propose.>", "audit.>", "_INBOX_approvals.>"),
    (names.APPLIER, BUS): (">", "a2a.v1.req.>", "a2a.v1.rep.>", "a2a.v1.rep.ops.>", "_INBOX.>"),
}  # fmt: skip


@pytest.fixture
async def attacked(tmp_path: Path) -> AsyncIterator[Bench]:
    """The example fleet with a second reviewer."""
    async with bench(tmp_path, lambda fleet: fleet["reviewers"].update(other={"groups": ["staff"]})) as running:
        yield running


def _user_id(user: tuple[str, str]) -> str:
    return ".".join(user)


@pytest.mark.parametrize("user", NOT_PUBLISHED, ids=_user_id)
async def test_a_key_speaks_only_for_itself(attacked: Bench, user: tuple[str, str]) -> None:
    """The server refuses each publish outside the user's allow list, by its literal subject."""
    attacker = await attacked.attacker(*user)
    for subject in NOT_PUBLISHED[user]:

        async def attempt(subject: str = subject) -> None:
            await attacker.client.publish(subject, b"{}", headers={"A2A-Version": "1.0"})

        assert f'publish to "{subject.lower()}"' in (await attacker.refused(attempt)).lower()


@pytest.mark.parametrize("user", NOT_HEARD, ids=_user_id)
async def test_a_key_hears_only_what_is_its_own(attacked: Bench, user: tuple[str, str]) -> None:
    """The server refuses each subscription outside the user's allow list, wildcards and queue groups included."""
    attacker = await attacked.attacker(*user)
    for subject in NOT_HEARD[user]:
        for queue in ("", "textstats"):

            async def attempt(subject: str = subject, queue: str = queue) -> None:
                await attacker.client.subscribe(subject, queue=queue)

            assert f'subscription to "{subject.lower()}"' in (await attacker.refused(attempt)).lower()


async def test_every_user_is_attacked(attacked: Bench) -> None:
    """The tables above have a row for each kind of user that the fleet has."""
    users = set(credentials_of(attacked.fleet)) - {("other", OWN), ("textstats", BUS), ("textstats", OWN)}
    users -= {("concierge", OWN), ("directory", OWN)}
    assert users == set(NOT_PUBLISHED)
    assert users - {("concierge", BUS)} == set(NOT_HEARD)


async def test_a_vote_carries_the_name_that_the_server_gives_it(attacked: Bench) -> None:
    """Two reviewers publish the same subject; what is recorded names each by the account it came from."""
    for reviewer in ("reviewer", "other"):
        person = await attacked.attacker(reviewer, OWN)
        await person.client.publish("approvals.approve", b"p-x", reply="_INBOX.x")
        await person.client.flush()
        assert person.errors == []
    service = await attacked.connect(names.APPROVALS, OWN)
    votes = await Puller(service, names.DECISIONS, names.APPROVALS).pull(10, wait_s=2)
    assert [vote.subject for vote in votes] == [
        "approvals.review.reviewer.approve",
        "approvals.review.other.approve",
    ]


async def test_an_agent_that_may_not_propose_reaches_nobody(attacked: Bench) -> None:
    """Without `may_propose` there is no import: a proposal finds no responders, and nothing is stored."""
    admin = await administrator(attacked, names.ACCOUNT_APPROVALS)
    mute = await attacked.attacker("textstats", OWN)
    with pytest.raises(nats.errors.NoRespondersError):
        await mute.client.request("approvals.propose.textstats", b"{}", timeout=5)
    assert await stored_count(admin, names.PROPOSALS) == 0
    able = await attacked.attacker("greeter", OWN)
    await able.client.publish("approvals.propose.greeter", b"{}")

    async def is_stored() -> bool:
        return await stored_count(admin, names.PROPOSALS) == 1

    await until(is_stored)


async def test_an_agent_reads_no_trail_but_the_last_of_its_own(attacked: Bench) -> None:
    """An agent's account can ask for the last event of its own slots, and of nobody else's."""
    audit = await attacked.audit("greeter")
    audit.emit("process.started", action="start")
    await audit.confirm()
    own = await attacked.attacker("greeter", OWN)
    answer = await own.client.request("audit.last.greeter.0.process", timeout=5)
    assert json.loads(answer.data)["source"] == "urn:agentbus:agent:greeter"
    other = await attacked.attacker("textstats", OWN)
    await other.refused(lambda: other.client.publish("audit.last.greeter.0.process"))


async def test_an_unknown_key_is_not_let_in(attacked: Bench, tmp_path: Path) -> None:
    """A well-formed key that is not in the configuration cannot connect."""
    with pytest.raises(ConnectionRefused, match="is this key in its configuration"):
        await Connection.open(admin_profile(attacked.server.url, create_credential(tmp_path / "stranger.nk")))


@pytest.mark.parametrize(
    "identity",
    [{}, {"user": "ops", "password": "ops"}, {"user": "", "password": ""}, {"token": "x"}],
    ids=["nothing", "a password", "an empty password", "a token"],
)
async def test_there_is_no_way_in_without_a_key(attacked: Bench, identity: dict[str, Any]) -> None:
    """There is no anonymous user, no password and no token."""
    client = Client()
    with pytest.raises(nats.errors.Error, match="Authorization Violation"):
        await client.connect(attacked.server.url, allow_reconnect=False, **identity)
    await client.close()


async def test_a_reviewers_account_takes_four_connections(attacked: Bench) -> None:
    """A reviewer who opens connection after connection is stopped at four; others still get in."""
    people: list[Attacker] = [await attacked.attacker("reviewer", OWN) for _ in range(4)]
    with pytest.raises(ConnectionRefused):
        await attacked.connect("reviewer", OWN, wait_for_server=False)
    assert all(person.client.is_connected for person in people)
    assert (await attacked.attacker("other", OWN)).client.is_connected
