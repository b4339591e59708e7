"""Where the demo plays: a fleet of its own in a temporary folder, on a free port, and hands to talk to it."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agents.home import EXAMPLE
from bus.connection import Connection, Profile
from bus.credentials import Credential
from bus.surroundings import Home
from schemas import names
from schemas.errors import A2AError, AgentbusError


class Unmet(AgentbusError):
    """A step did not show what it should."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a command printed and how it ended."""

    out: str
    err: str
    code: int


@dataclass(frozen=True, slots=True)
class Stage:
    """The demo's fleet. Commands run as processes of their own, as a person would type them."""

    home: Home
    url: str
    nats: str | None
    """The real `nats` command, None where it is not installed."""

    def agentbus(self, *arguments: str) -> Said:
        """Run `agentbus …` on the demo's home."""
        return self._run([sys.executable, "-m", "agents.cli", *arguments], {"AGENTBUS_HOME": str(self.home.root)})

    def told(self, *arguments: str) -> str:
        """What `agentbus …` prints.

        Raises:
            Unmet: it failed.
        """
        said = self.agentbus(*arguments)
        if said.code:
            raise Unmet(f"agentbus {arguments[0]} ended with {said.code}: {said.err.strip() or said.out.strip()}")
        return said.out.strip()

    def req(self, person: str, subject: str, body: str, *headers: str) -> str:
        """`nats req` as `person`, with the real command where it is installed, else with our own client."""
        if self.nats is None:
            return asyncio.run(self._own_req(person, subject, body, headers))
        given = [word for header in headers for word in ("-H", header)]
        command = [self.nats, "--context", person, "req", "--raw", *given, subject, body]
        return self._run(command, {"XDG_CONFIG_HOME": str(self.home.contexts)}).out

    async def _own_req(self, person: str, subject: str, body: str, headers: tuple[str, ...]) -> str:
        is_operator = (self.home.credentials(person) / names.BUS_CREDENTIAL).exists()
        credential = names.BUS_CREDENTIAL if is_operator else names.OWN_CREDENTIAL
        profile = Profile(
            url=self.url,
            credential=Credential.find(self.home.credentials(person), credential),
            name=person,
            inbox_prefix=names.tool_inbox_prefix(person) if is_operator else "_INBOX",
            wait_for_server=False,
        )
        connection = await Connection.open(profile)
        try:
            given = dict(header.split(":", 1) for header in headers)
            return (await connection.request(subject, body.encode(), timeout_s=10, headers=given or None)).data.decode()
        except A2AError as error:
            return str(error)
        finally:
            await connection.close()

    def _run(self, command: list[str], environment: dict[str, str]) -> Said:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL,
            env={**os.environ, **environment},
        )  # fmt: skip
        return Said(done.stdout, done.stderr, done.returncode)


def set_stage(folder: Path) -> Stage:
    """Copy the example fleet into `folder` with a free port, and name what will talk to it."""
    port = _free_port()
    source = folder / "fleet"
    shutil.copytree(EXAMPLE, source, ignore=shutil.ignore_patterns("__pycache__"))
    fleet = source / "fleet.yaml"
    fleet.write_text(fleet.read_text().replace("port: 4222", f"port: {port}"))
    return Stage(Home(folder / "home"), f"nats://127.0.0.1:{port}", find_nats())


def find_nats() -> str | None:
    """The `nats` command: on PATH, or in the environment this runs in."""
    beside = Path(sys.executable).with_name("nats")
    return shutil.which("nats") or (str(beside) if beside.exists() else None)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def eventually(look: Callable[[], bool], what: str, within_s: float = 60) -> None:
    """Wait until `look` is true, which may cost a process each time: it is looked at less often the longer it takes.

    Raises:
        Unmet: it is not, in time.
    """
    deadline, pause_s = time.monotonic() + within_s, 0.05
    while not look():
        if time.monotonic() > deadline:
            raise Unmet(f"{what}: not within {within_s:g} s")
        time.sleep(pause_s)
        pause_s = min(0.5, pause_s * 1.5)


def require(is_so: bool, what: str) -> None:  # noqa: FBT001  it is a claim
    """Raise `Unmet` with `what` unless `is_so`."""
    if not is_so:
        raise Unmet(what)
