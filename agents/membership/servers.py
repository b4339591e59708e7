"""The servers of a fleet as processes: who has each of them read its configuration again, and how.

One that runs on this machine is found by the configuration that it was started with. For one that runs elsewhere there
is a command of the operator's, in `AGENTBUS_RELOAD`: it is run with `AGENTBUS_SERVER_HOST` and `AGENTBUS_SERVER_CONFIG`
(the new configuration's file on this machine), and has to bring the file there and have the server read it.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bus.address import address_of
from bus.errors import NotProvisioned
from bus.provision.members import Server, servers_of
from bus.provision.provision import Running
from bus.surroundings import Home
from schemas.fleet import Fleet

RELOAD: Final = "AGENTBUS_RELOAD"
_PROGRAM: Final = b"nats-server"
_RELOAD_S: Final = 60


@dataclass(frozen=True, slots=True)
class ChildServer:
    """A server that is a process of this machine."""

    url: str
    pid: int

    def reload(self) -> None:
        """See `Running.reload`."""
        os.kill(self.pid, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class FarServer:
    """One that runs on another machine, which `command` reaches."""

    url: str
    host: str
    config: Path
    command: str

    def reload(self) -> None:
        """See `Running.reload`.

        Raises:
            NotProvisioned: the command failed.
        """
        environment = {**os.environ, "AGENTBUS_SERVER_HOST": self.host, "AGENTBUS_SERVER_CONFIG": str(self.config)}
        try:
            done = subprocess.run(
                ["/bin/sh", "-c", self.command], env=environment, capture_output=True, text=True, timeout=_RELOAD_S,
                check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise NotProvisioned(f"the command in {RELOAD} did not end within {_RELOAD_S} s for {self.host}") from None
        if done.returncode:
            said = (done.stderr or done.stdout).strip() or f"it ended with {done.returncode}"
            raise NotProvisioned(f"the command in {RELOAD} failed for {self.host}: {said}")


def cluster_that_runs(fleet: Fleet, home: Home, environment: Mapping[str, str]) -> Sequence[Running]:
    """All servers of a cluster that runs; none where nothing of it does.

    Raises:
        NotProvisioned: some run and some do not, or one runs elsewhere and nobody says how it is reached.
    """
    servers = servers_of(fleet, home)
    answers = [server for server in servers if _answers(server)]
    if not answers:
        return ()
    if len(answers) < len(servers):
        away = ", ".join(f"{server.host}:{server.port}" for server in servers if server not in answers)
        raise NotProvisioned(f"nobody listens on {away}: a change has to reach every server; start it, and try again")
    pids = {server.config: _pid_of(server.config) for server in servers}
    command = environment.get(RELOAD, "")
    far = [server for server in servers if not pids[server.config]]
    if far and not command:
        raise NotProvisioned(_how(far))
    return [
        ChildServer(_url(server), pid) if (pid := pids[server.config]) else FarServer(_url(server), server.host, server.config, command)
        for server in servers
    ]  # fmt: skip


def _url(server: Server) -> str:
    return address_of(server.host, server.port, server.tls.ca if server.tls else None)


def _answers(server: Server) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in server.host else socket.AF_INET) as probe:
        probe.settimeout(1)
        return probe.connect_ex((server.host, server.port)) == 0


def _pid_of(config: Path) -> int:
    """The process that was started with this configuration; 0 where there is none."""
    wanted = os.fsencode(config.resolve())
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue  # it has ended
        if Path(os.fsdecode(words[0])).name == os.fsdecode(_PROGRAM) and _names(words, wanted):
            return int(folder.name)
    return 0


def _names(words: Sequence[bytes], wanted: bytes) -> bool:
    return any(word and os.path.realpath(word.removeprefix(b"--config=")) == wanted for word in words[1:])


def _how(far: Sequence[Server]) -> str:
    first, named = far[0], ", ".join(f"{server.host}:{server.port}" for server in far)
    return (
        f"{named} runs on another machine; say how it gets a configuration and is told to read it, as with a unit of "
        f'that name there, in front of this command:\n{RELOAD}=\'scp -q "$AGENTBUS_SERVER_CONFIG" '
        f'root@"$AGENTBUS_SERVER_HOST":{first.config.parent}/ && ssh root@"$AGENTBUS_SERVER_HOST" '
        'systemctl reload $(basename "$AGENTBUS_SERVER_CONFIG" .conf)\''
    )
