"""Members come and go on a server that runs, and nobody else loses a connection by that."""

from __future__ import annotations

import asyncio

import pytest

from bus.connection import Connection
from bus.errors import ConnectionRefused
from bus.provision.membership.changing import Event, change_members
from bus.provision.membership.probing import own_profile
from bus.sessions import SessionStore
from schemas import names
from schemas.fleet import AgentRole, Reviewer
from tests.harness.agent import caller, sending, serving, trail
from tests.harness.fleet import Bench, until


def _event(kind: str, member: str, role: str) -> Event:
    return Event(f"member.{kind}", member, role, "root", "0" * 64)


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
