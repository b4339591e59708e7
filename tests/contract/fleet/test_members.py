"""Members come and go on a server that runs, and nobody else loses a connection by that."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

import pytest

from approvals.applying.control import RestartFailed
from bus.audit.trust import load_trust
from bus.connection import Connection
from bus.errors import ConnectionRefused
from bus.provision.membership.changing import Event, What, change_members
from bus.provision.membership.probing import own_profile
from bus.provision.membership.rekeying import key_files, rekey
from bus.sessions import SessionStore
from schemas import names
from schemas.fleet import AgentRole, Reviewer
from tests.harness.admin import files_below
from tests.harness.agent import caller, sending, serving, trail
from tests.harness.fleet import Bench, until


def _event(what: What, member: str, role: str) -> Event:
    return Event(what, member, role, "root", "0" * 64)


async def test_members_come_and_go_while_others_work(fleet_bench: Bench) -> None:
    """An agent, a reviewer and an operator are let in, all that they need works, and others do not notice.

    Who is removed is closed and refused at once; its trail stays believed, and what it kept is there when it comes back.
    """
    fleet, home, servers = fleet_bench.fleet, fleet_bench.home, (fleet_bench.server,)
    asked = 0
    async with serving(fleet_bench, "textstats") as agent:
        calls = await caller(fleet_bench)
        others = [agent.bus, agent.own, *[await fleet_bench.connect(r, names.OWN_CREDENTIAL) for r in fleet.reviewers]]
        is_over = asyncio.Event()

        async def ask_on() -> None:
            nonlocal asked
            while not is_over.is_set():
                await calls.send_message("textstats", sending({"text": "one two"}))
                asked += 1

        asking = asyncio.create_task(ask_on())
        larger = fleet.model_copy(
            update={
                "agents": {**fleet.agents, "newcomer": AgentRole(asks=("textstats",))},
                "reviewers": {**fleet.reviewers, "third": Reviewer()},
                "operators": (*fleet.operators, "night"),
            }
        )
        joined = [_event("added", "newcomer", "agent"), _event("added", "third", "reviewer")]
        tried = await change_members(larger, home, servers, [*joined, _event("added", "night", "operator")])
        assert tried == 3 + 1 + 2
        fleet_bench.fleet = larger
        own = await fleet_bench.connect("newcomer", names.OWN_CREDENTIAL)
        await SessionStore(own).require()
        audit = await fleet_bench.audit("newcomer", own)
        audit.emit("process.started", action="start")
        await audit.confirm()
        gone = [await fleet_bench.connect("third", names.OWN_CREDENTIAL), own]
        before = asked
        await change_members(
            fleet, home, servers, [_event("removed", "newcomer", "agent"), _event("removed", "third", "reviewer")]
        )
        await until(lambda: _are_closed(gone))
        with pytest.raises(ConnectionRefused):
            await Connection.open(own_profile(larger, home, fleet_bench.url, "third"))
        is_over.set()
        await asking
        assert asked > before > 0
        told = await trail(fleet_bench, agent)
        assert [(e.short_type, e.data.resource) for e in told if e.short_type.startswith("member.")] == [
            ("member.added", "newcomer"), ("member.added", "third"), ("member.added", "night"),
            ("member.removed", "newcomer"), ("member.removed", "third"),
        ]  # fmt: skip
        assert [one.reconnects for one in others] == [0] * len(others)


async def _are_closed(connections: list[Connection]) -> bool:
    return not any(one.is_connected for one in connections)


async def test_keys_change_while_requests_flow(fleet_bench: Bench) -> None:
    """Both keys are let in while the member changes, the old one is refused afterwards, and nobody else notices.

    Whoever asks meanwhile is answered: by the old connection, then by the new one.
    """
    fleet, home, servers = fleet_bench.fleet, fleet_bench.home, (fleet_bench.server,)
    files = key_files(fleet, home, ["textstats"])
    before = [file.path.read_bytes() for file in files]
    async with AsyncExitStack() as stack:
        stack.push_async_callback((first := serving(fleet_bench, "textstats")).__aexit__, None, None, None)
        old = await first.__aenter__()
        calls = await caller(fleet_bench)
        others = [await fleet_bench.connect(name) for name in ("greeter", "ops")]
        is_over = asyncio.Event()
        asked = 0

        async def ask_on() -> None:
            nonlocal asked
            while not is_over.is_set():
                await calls.send_message("textstats", sending({"text": "one two"}))
                asked += 1

        asking = asyncio.create_task(ask_on())

        async def use(_member: str) -> None:
            await stack.enter_async_context(serving(fleet_bench, "textstats", slot="1"))
            assert old.bus.is_connected
            await old.drain(5)

        await rekey(fleet, home, servers, use, [_event("rekeyed", "textstats", "agent")])
        so_far = asked
        await until(lambda: _are_closed([old.bus, old.own]))
        await until(lambda: _is_more(lambda: asked, so_far))
        is_over.set()
        await asking
        assert len(load_trust(home.trust)["audit.agent.textstats."]) == 2
        assert [file.path.read_bytes() in before for file in files] == [False, False]
        assert sorted(path.name for path in files[0].path.parent.iterdir()) == [
            "audit.nk", "audit.nk.retired", "bus.nk", "own.nk",
        ]  # fmt: skip
        assert [one.reconnects for one in others] == [0, 0]


async def test_a_member_that_cannot_use_its_new_key_keeps_the_old_one(fleet_bench: Bench) -> None:
    """Its process is started again with the key of before, which is let in; the new one is nowhere."""
    fleet, home, servers = fleet_bench.fleet, fleet_bench.home, (fleet_bench.server,)
    before = files_below(home.credentials("greeter"))
    used: list[bytes] = []

    async def use(_member: str) -> None:
        used.append((home.credentials("greeter") / names.BUS_CREDENTIAL).read_bytes())
        if len(used) == 1:
            raise RestartFailed("it did not start")

    with pytest.raises(RestartFailed):
        await rekey(fleet, home, servers, use, [_event("rekeyed", "greeter", "agent")])
    after = files_below(home.credentials("greeter"))
    assert (after["bus.nk"], after["own.nk"]) == (before["bus.nk"], before["own.nk"])
    assert sorted(after) == ["audit.nk", "audit.nk.retired", "bus.nk", "own.nk"]
    assert used[1] == before["bus.nk"] != used[0]
    await (await fleet_bench.connect("greeter")).close()
    assert await trail(fleet_bench, kind="member.rekeyed") == []


async def _is_more(count: Callable[[], int], than: int) -> bool:
    return count() > than
