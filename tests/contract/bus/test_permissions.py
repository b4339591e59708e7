"""What a right, and the lack of one, comes to; each right alone is a cell of `test_matrix`."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import nats.errors
import pytest
from nats.aio.client import Client

from bus.connection import Connection
from bus.credentials import create_credential
from bus.errors import ConnectionRefused
from bus.jetstream import Puller
from bus.provision.server_config import connection_limits
from schemas import names
from tests.harness.admin import admin_profile, administrator, stored_count
from tests.harness.fleet import Attacker, Bench, bench, until
from tests.harness.pulling import pull_some
from tests.matrix.probe import wire


def _with_another_reviewer(fleet: dict[str, Any]) -> None:
    fleet["reviewers"]["other"] = {"groups": ["staff"]}


@pytest.fixture
async def attacked(tmp_path: Path) -> AsyncIterator[Bench]:
    """The example fleet with a second reviewer."""
    async with bench(tmp_path, _with_another_reviewer) as running:
        yield running


async def test_a_vote_carries_the_name_that_the_server_gives_it(attacked: Bench) -> None:
    """Two reviewers publish the same subject; what is recorded names each by the account it came from."""
    for reviewer in ("reviewer", "other"):
        person = await attacked.attacker(reviewer, names.OWN_CREDENTIAL)
        await person.client.publish("approvals.approve", b"p-x", reply="_INBOX.x")
        await person.client.flush()
        assert person.errors == []
    service = await attacked.connect(names.APPROVALS, names.OWN_CREDENTIAL)
    votes = await pull_some(Puller(service, names.DECISIONS, names.APPROVALS), 2)
    assert [vote.subject for vote in votes] == [
        "approvals.review.reviewer.approve",
        "approvals.review.other.approve",
    ]


async def test_an_agent_that_may_not_propose_reaches_nobody(attacked: Bench) -> None:
    """Without `may_propose` there is no import: a proposal finds no responders, and nothing is stored."""
    admin = await administrator(attacked, names.ACCOUNT_APPROVALS)
    mute = await attacked.attacker("textstats", names.OWN_CREDENTIAL)
    with pytest.raises(nats.errors.NoRespondersError):
        await mute.client.request("approvals.propose.textstats", b"{}", timeout=5)
    assert await stored_count(admin, names.PROPOSALS) == 0
    able = await attacked.attacker("greeter", names.OWN_CREDENTIAL)
    await able.client.publish("approvals.propose.greeter", b"{}")

    async def is_stored() -> bool:
        return await stored_count(admin, names.PROPOSALS) == 1

    await until(is_stored)


async def test_an_agent_reads_no_trail_but_the_last_of_its_own(attacked: Bench) -> None:
    """An agent's account can ask for the last event of its own slots, and of nobody else's."""
    audit = await attacked.audit("greeter")
    audit.emit("process.started", action="start")
    await audit.confirm()
    own = await attacked.attacker("greeter", names.OWN_CREDENTIAL)
    answer = await own.client.request("audit.last.greeter.0.process", timeout=5)
    assert json.loads(answer.data)["source"] == "urn:agentbus:agent:greeter"
    other = await attacked.attacker("textstats", names.OWN_CREDENTIAL)
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
    people: list[Attacker] = [await attacked.attacker("reviewer", names.OWN_CREDENTIAL) for _ in range(4)]
    with pytest.raises(ConnectionRefused):
        await attacked.connect("reviewer", names.OWN_CREDENTIAL, wait_for_server=False)
    assert all(person.client.is_connected for person in people)
    assert (await attacked.attacker("other", names.OWN_CREDENTIAL)).client.is_connected


async def test_one_key_does_not_get_every_place(attacked: Bench) -> None:
    """An agent's own account takes so many connections and no more, the server's are for the others; they get in."""
    limit = connection_limits(attacked.fleet)[names.own_account("greeter")]
    host, port = attacked.fleet.nats.host, attacked.fleet.nats.port
    seed = attacked.home.credentials("greeter") / names.OWN_CREDENTIAL
    async with AsyncExitStack() as stack:
        said = []
        for _ in range(limit + 1):
            line = await stack.enter_async_context(wire(host, port, seed))
            line.send(b"PING\r\n")
            said.append(await line.line())
        assert said == ["PONG"] * limit + ["-ERR 'maximum account active connections exceeded'"]
        assert (await attacked.attacker("textstats", names.OWN_CREDENTIAL)).client.is_connected
