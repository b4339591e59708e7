"""Connecting as a person of the fleet, with the keys that provisioning wrote."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from approvals.errors import GitFailed
from approvals.git import BRANCH, Git
from approvals.repository import rules_in_force
from bus.connection import Connection, Profile
from bus.credentials import Credential
from bus.discovery.heartbeat import Heartbeats
from bus.part_store import OwnAccount
from bus.parts import large_parts
from bus.provision.members import server_url
from bus.requests.breaker import NEVER
from bus.requests.caller import Caller
from bus.surroundings import Home
from schemas import names
from schemas.errors import InvalidDocument
from schemas.fleet import Fleet


def fleet_of(home: Home) -> Fleet:
    """The fleet in force in `home`.

    Raises:
        InvalidDocument: there is none.
    """
    git = Git(home.repository)
    try:
        if (home.repository / "HEAD").exists():
            return rules_in_force(git).fleet
    except GitFailed:
        if git.line("for-each-ref", BRANCH):
            raise
    raise InvalidDocument(f"there is no fleet in {home.root}; run: agentbus up")


@asynccontextmanager
async def operator(root: Path, name: str) -> AsyncIterator[Caller]:
    """A caller with the identity of operator `name`, the fleet's first when empty."""
    async with listening_operator(root, name) as (caller, _):
        yield caller


@asynccontextmanager
async def listening_operator(root: Path, name: str) -> AsyncIterator[tuple[Caller, Heartbeats]]:
    """The same, who also hears the agents' heartbeats."""
    async with operators_connection(root, name) as (connection, chosen):
        own = OwnAccount(connection)
        caller = Caller(connection, chosen, breaking=NEVER, parts=large_parts(chosen, own))
        await caller.start()
        try:
            yield caller, Heartbeats(connection, chosen)
        finally:
            await own.close()


@asynccontextmanager
async def operators_connection(
    root: Path, name: str, credential: str = names.BUS_CREDENTIAL
) -> AsyncIterator[tuple[Connection, str]]:
    """The connection of operator `name`, the fleet's first when empty, and who that is."""
    home = Home(root.resolve())
    fleet = fleet_of(home)
    chosen = _one_of(fleet.operators, name, "operator")
    profile = _profile(fleet, home, chosen, credential, names.tool_inbox_prefix(chosen))
    connection = await Connection.open(profile)
    try:
        yield connection, chosen
    finally:
        await connection.close()


@asynccontextmanager
async def own_operator(root: Path, name: str) -> AsyncIterator[tuple[Connection, str]]:
    """The same in the operator's own account, where proposals are handed in."""
    async with operators_connection(root, name, names.OWN_CREDENTIAL) as found:
        yield found


@asynccontextmanager
async def auditor(home: Home, fleet: Fleet) -> AsyncIterator[Connection]:
    """A connection of the fleet's first auditor."""
    chosen = _one_of(fleet.auditors, "", "auditor")
    profile = _profile(fleet, home, chosen, names.OWN_CREDENTIAL, names.inbox_prefix(chosen))
    connection = await Connection.open(profile)
    try:
        yield connection
    finally:
        await connection.close()


def _one_of(people: tuple[str, ...], name: str, role: str) -> str:
    if not people:
        raise InvalidDocument(f"the fleet has no {role}; add one: agentbus fleet add {role} NAME")
    if name and name not in people:
        raise InvalidDocument(f"{name} is not an {role} of the fleet; there are: {', '.join(people)}")
    return name or people[0]


def _profile(fleet: Fleet, home: Home, person: str, credential: str, inbox: str) -> Profile:
    return Profile(
        url=server_url(fleet, home),
        credential=Credential.find(home.credentials(person), credential),
        name=person,
        inbox_prefix=inbox,
        wait_for_server=False,
    )
