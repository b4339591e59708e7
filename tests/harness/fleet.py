"""A provisioned fleet on a real nats-server, and connections with any of its keys, ours or an attacker's.

`Bench` runs the server in the test's own loop and no other process: parts of the product are started
by the test. `RunningFleet` is the whole product, as `agentbus up --detach` runs it.
"""

from __future__ import annotations

import asyncio
import functools
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import nats
import yaml
from nats.aio.client import Client

from agents.home import EXAMPLE
from approvals.git import Git
from approvals.repository import rules_in_force
from bus.audit.emit import Audit
from bus.audit.producer import Producer
from bus.connection import Connection, Profile
from bus.credentials import Credential
from bus.provision.members import server_url
from bus.provision.permissions import users_of
from bus.server import LocalServer
from bus.surroundings import Home
from schemas import names
from schemas.fleet import Fleet
from tests.harness.command import agentbus
from tests.harness.template import provisioned

CHECKOUT = Path(__file__).parents[2]


UNLIMITED = """limits:
  requests_per_s: 0
"""


def free_port() -> int:
    """A port on loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def until[T](look: Callable[[], Awaitable[T]], timeout_s: float = 60, every_s: float = 0.02) -> T:
    """The first true answer of `look`; fails when there is none in time.

    What takes long is looked at less often, down to a fifth: many look at once, and a look costs others their time.
    """
    deadline, pause_s = time.monotonic() + timeout_s, every_s
    while True:
        found = await look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"{look} did not come true within {timeout_s:g} s; last answer: {found!r}")
        await asyncio.sleep(pause_s)
        pause_s = min(5 * every_s, 1.2 * pause_s)


@functools.cache
def _example() -> str:
    return json.dumps(yaml.safe_load((EXAMPLE / "fleet.yaml").read_text()))


def _document(port: int, change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """What the example's fleet file says, changed."""
    document: dict[str, Any] = json.loads(_example())
    document["nats"]["port"] = port
    change(document)
    return document


def _write_source(folder: Path, document: dict[str, Any]) -> None:
    shutil.copytree(EXAMPLE, folder, dirs_exist_ok=True)
    for agent in folder.glob("agents/*/agent.yaml"):
        agent.write_text(agent.read_text() + UNLIMITED)
    (folder / "fleet.yaml").write_text(yaml.safe_dump(document, sort_keys=False))


def fleet_source(folder: Path, *, port: int, change: Callable[[dict[str, Any]], None] = lambda _: None) -> Path:
    """A copy of the example fleet in `folder` that listens on `port`; `change` edits its fleet file.

    Its agents take any number of requests of one caller.
    """
    _write_source(folder, _document(port, change))
    return folder


def unencrypted(document: dict[str, Any]) -> None:
    """For who changes a message in the server's files: its place can be found. A changed byte is the same to the server."""
    document["nats"]["encryption"] = False


@dataclass
class Bench:
    """A provisioned server, and connections with the fleet's keys; all are closed at the end."""

    home: Home
    fleet: Fleet
    server: LocalServer
    stack: AsyncExitStack
    violations: list[str] = field(default_factory=list)

    @property
    def running(self) -> tuple[LocalServer, ...]:
        """Every server of it, in the order of the fleet file."""
        return (self.server,)

    def configured(self, text: str, number: int) -> str:
        """What stands in the configuration of a server, counted from 0, where the product wrote `text`."""
        return text

    @property
    def url(self) -> str:
        """Where clients connect."""
        return self.server.url

    def profile(self, principal: str, credential: str, **changes: Any) -> Profile:
        """How the product connects as `principal`."""
        inbox = (
            names.tool_inbox_prefix(principal) if principal in self.fleet.operators else names.inbox_prefix(principal)
        )
        if principal in self.fleet.reviewers:
            inbox = "_INBOX"
        settings: dict[str, Any] = {
            "url": self.url,
            "credential": Credential.find(self.home.credentials(principal), credential),
            "name": f"{principal}.{credential}",
            "inbox_prefix": inbox,
            "on_violation": self.violations.append,
        }
        return Profile(**settings | changes)

    async def connect(self, principal: str, credential: str = names.BUS_CREDENTIAL, **changes: Any) -> Connection:
        """A connection of ours."""
        connection = await Connection.open(self.profile(principal, credential, **changes))
        self.stack.push_async_callback(connection.close)
        return connection

    async def attacker(self, principal: str, credential: str = names.BUS_CREDENTIAL) -> Attacker:
        """A plain nats-py client with a key of the fleet: none of our code is between it and the server."""
        profile = self.profile(principal, credential)
        errors: list[str] = []

        async def on_error(error: Exception) -> None:
            errors.append(str(error))

        client = await nats.connect(
            self.server.url, nkeys_seed=str(profile.credential.path), inbox_prefix=profile.inbox_prefix,
            allow_reconnect=False, error_cb=on_error,
        )  # fmt: skip
        self.stack.push_async_callback(client.close)
        return Attacker(client, errors)

    async def audit(self, agent: str, connection: Connection | None = None) -> Audit:
        """The trail of an agent, as its process would open it."""
        own = connection or await self.connect(agent, names.OWN_CREDENTIAL)
        credential = Credential.find(self.home.credentials(agent), names.AUDIT_CREDENTIAL)
        audit = await Audit.open(own, Producer(agent, "0", is_agent=True), credential, self.home.state(agent) / "audit")
        self.stack.push_async_callback(audit.close)
        return audit


@dataclass
class Attacker:
    """A plain client and what the server told it it may not do."""

    client: Client
    errors: list[str]

    async def refused(self, what: Callable[[], Awaitable[Any]]) -> str:
        """Do something and return the server's refusal; fails when it was allowed."""
        before = len(self.errors)
        await what()
        await self.client.flush(timeout=5)

        async def told() -> str:
            return self.errors[-1] if len(self.errors) > before else ""

        said = await until(told, timeout_s=5)
        assert "permissions violation" in said.lower(), said
        return said


@asynccontextmanager
async def bench(
    folder: Path,
    change: Callable[[dict[str, Any]], None] = lambda _: None,
    agents: Mapping[str, tuple[str, str]] = MappingProxyType({}),
    folders: Callable[[Path], object] = lambda _: None,
) -> AsyncIterator[Bench]:
    """A fleet's home in `folder` and its server; `agents` have an agent.yaml and a handler.py of their own.

    `folders` makes folders of agents that the example does not have and that `change` names.
    """
    document = _document(free_port(), change)

    def more(source: Path) -> None:
        for name, (file, handler) in agents.items():
            (source / "agents" / name / "agent.yaml").write_text(file)
            (source / "agents" / name / "handler.py").write_text(handler)

    def files(source: Path) -> None:
        _write_source(source, document)
        folders(source / "agents")

    async with (
        provisioned(folder, document, files, more if agents else None) as (home, fleet, server),
        AsyncExitStack() as stack,
    ):
        yield Bench(home, fleet, server, stack)


def credentials_of(fleet: Fleet) -> list[tuple[str, str]]:
    """(principal, key file) of every user."""
    return [(user.principal, user.credential) for user in users_of(fleet)]


@dataclass(frozen=True)
class RunningFleet:
    """A fleet that `agentbus up --detach` started, and the command line to talk to it."""

    home: Home

    def run(
        self, *arguments: str, check: bool = True, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """`agentbus …` in a process of its own, from outside the checkout."""
        environment = {**os.environ, "AGENTBUS_HOME": str(self.home.root), "PYTHONPATH": str(CHECKOUT), **(env or {})}
        done = agentbus(*arguments, env=environment, cwd=self.home.root)
        assert not check or done.returncode == 0, f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def processes(self) -> dict[str, dict[str, Any]]:
        """Name to row of `agentbus status`."""
        answer = json.loads(self.run("status", "--json", check=False).stdout)
        return {row["name"]: row for row in answer.get("processes", [])}

    def events(self, kind: str) -> list[dict[str, Any]]:
        """All audit events of a type, as the auditor's command prints them."""
        lines = self.run("audit", "replay", "--json", "--type", kind).stdout.splitlines()
        return [json.loads(line)["event"] for line in lines]


@contextmanager
def running_fleet(
    folder: Path,
    change: Callable[[dict[str, Any]], None] = lambda _: None,
    prepare: Callable[[Path], None] = lambda _: None,
) -> Iterator[RunningFleet]:
    """The whole product in `folder`; `prepare` may edit the files of the fleet before they are imported."""
    source = folder / "source"
    source.mkdir(parents=True)
    fleet_source(source, port=free_port(), change=change)
    prepare(source)
    home = Home(folder / "home")
    home.root.mkdir()
    fleet = RunningFleet(home)
    fleet.run("up", "--detach", "--fleet", str(source))
    try:
        yield fleet
    finally:
        fleet.run("down")


@contextmanager
def instance(
    home: Home, agent: str, slot: str, state: Path, module: str = "agents.cli"
) -> Iterator[subprocess.Popen[bytes]]:
    """One more process of `agent`, which nobody starts again; what it says is in `output` of its state."""
    state.mkdir(exist_ok=True)
    command = [sys.executable, "-m", module, "agent", "run", str(home.live(agent) / "agent.yaml")]
    environment = {
        **os.environ, "PYTHONPATH": str(CHECKOUT), "AGENTBUS_SLOT": slot, "AGENTBUS_STATE": str(state),
        "AGENTBUS_NATS_URL": server_url(rules_in_force(Git(home.repository)).fleet, home),
        "AGENTBUS_CREDENTIALS": str(home.credentials(agent)), "AGENTBUS_HOME": str(home.root),
    }  # fmt: skip
    with (
        (state / "output").open("wb") as output,
        subprocess.Popen(command, env=environment, stdout=output, stderr=output) as process,
    ):
        try:
            yield process
        finally:
            process.kill()
