"""What each key may not do, asked of the server itself by a plain client: none of our code is in between."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import nats.errors
import pytest
import pytest_asyncio
from nats.aio.client import Client

from bus.connection import Connection
from bus.credentials import create_credential
from bus.errors import ConnectionRefused
from bus.jetstream import Puller
from schemas import names
from tests.contract.bus.forbidden import BUS, NOT_HEARD, NOT_PUBLISHED, OWN
from tests.harness.admin import admin_profile, administrator, stored_count
from tests.harness.fleet import Attacker, Bench, bench, credentials_of, until
from tests.harness.pulling import pull_some


def _with_another_reviewer(fleet: dict[str, Any]) -> None:
    fleet["reviewers"]["other"] = {"groups": ["staff"]}


@pytest.fixture
async def attacked(tmp_path: Path) -> AsyncIterator[Bench]:
    """The example fleet with a second reviewer."""
    async with bench(tmp_path, _with_another_reviewer) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def walls(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bench]:
    """The same, for all tests in which nothing gets through."""
    async with bench(tmp_path_factory.mktemp("walls"), _with_another_reviewer) as running:
        yield running


def _user_id(user: tuple[str, str]) -> str:
    return ".".join(user)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("user", NOT_PUBLISHED, ids=_user_id)
async def test_a_key_speaks_only_for_itself(walls: Bench, user: tuple[str, str]) -> None:
    """The server refuses each publish outside the user's allow list, by its literal subject."""
    attacker = await walls.attacker(*user)
    for subject in NOT_PUBLISHED[user]:

        async def attempt(subject: str = subject) -> None:
            await attacker.client.publish(subject, b"{}", headers={"A2A-Version": "1.0"})

        assert f'publish to "{subject.lower()}"' in (await attacker.refused(attempt)).lower()


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("user", NOT_HEARD, ids=_user_id)
async def test_a_key_hears_only_what_is_its_own(walls: Bench, user: tuple[str, str]) -> None:
    """The server refuses each subscription outside the user's allow list, wildcards and queue groups included."""
    attacker = await walls.attacker(*user)
    for subject in NOT_HEARD[user]:
        for queue in ("", "textstats"):

            async def attempt(subject: str = subject, queue: str = queue) -> None:
                await attacker.client.subscribe(subject, queue=queue)

            assert f'subscription to "{subject.lower()}"' in (await attacker.refused(attempt)).lower()


async def test_every_user_is_attacked(attacked: Bench) -> None:
    """The tables above have a row for each kind of user that the fleet has."""
    users = set(credentials_of(attacked.fleet)) - {
        ("other", OWN),
        ("second", OWN),
        ("textstats", BUS),
        ("textstats", OWN),
    }
    users -= {("concierge", OWN), ("directory", OWN), ("witness-b", OWN)}
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
    votes = await pull_some(Puller(service, names.DECISIONS, names.APPROVALS), 2)
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
