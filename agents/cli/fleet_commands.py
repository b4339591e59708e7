"""`up`, `down`, `status`, `provision`: a fleet on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from agents.cli.audit.tail import cancelled, follow, line_of
from agents.cli.run import log_quietly, run_async
from agents.cli.terminal import own_foreground
from agents.home import ensure_home, fleet_folder
from agents.installing.settle import settle
from agents.membership.hosts import alone, running_host
from agents.supervisor.supervisor import Supervisor
from approvals.applying.control import RestartFailed, ask_supervisor
from approvals.applying.provisioned import note_by_hand
from bus.address import read_address
from bus.provision.members import server_url
from bus.provision.membership.administering import provision_running
from bus.provision.provision import start_servers
from bus.surroundings import Home
from schemas.errors import AgentbusError
from schemas.fleet import Fleet

_READY_WITHIN_S = 60


class NotStarted(AgentbusError):
    """The detached fleet did not become ready."""


def up(root: Path, source: Path | None, *, detach: bool) -> None:
    """Run the fleet in the foreground, or start it and return."""
    log_quietly()
    home = Home(root.resolve())
    fleet = ensure_home(home, fleet_folder(source))
    if detach:
        _detach(home)
    else:
        with own_foreground():
            run_async(_run(home, fleet))


async def _run(home: Home, fleet: Fleet) -> None:
    began = time.monotonic()
    supervisor = Supervisor(home, fleet, _say)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, supervisor.stop_asked.set)
    await supervisor.start()
    note_by_hand(home, time.time_ns())
    print(_welcome(home, fleet, time.monotonic() - began), flush=True)
    events = asyncio.create_task(_show_events(home))
    try:
        await supervisor.wait()
    finally:
        await cancelled(events)
        print("stopping", flush=True)
        await supervisor.stop()


def _say(process: str, state: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {process:<18} {state}", flush=True)


async def _show_events(home: Home) -> None:
    with contextlib.suppress(AgentbusError):  # the server is on its way out
        async for record in follow(home, start=1):
            print(line_of(record, as_json=False), flush=True)


def _welcome(home: Home, fleet: Fleet, took_s: float) -> str:
    place = _place(home)
    agents = ", ".join(fleet.agents)
    first = next(iter(fleet.agents))
    return (
        f"\nReady in {took_s:.1f} s: {agents} on {read_address(server_url(fleet, home)).servers[0]}\n"
        "In another terminal:\n"
        f'  agentbus ask{place} {first} "hello"\n'
        f"  agentbus status{place}\n"
        f"  agentbus audit replay{place}\n"
        "Ctrl-C stops everything.\n"
    )


def _place(home: Home) -> str:
    """How commands are told of the home, where it is not the one that they take."""
    return "" if home.root == Path(".agentbus").resolve() else f" --home {home.root}"


def _detach(home: Home) -> None:
    log = home.root / "log" / "supervisor.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    before = log.stat().st_size if log.exists() else 0
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "agents.cli", "up", "--home", str(home.root)],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, env=os.environ,
        )  # fmt: skip
    deadline = time.monotonic() + _READY_WITHIN_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            said = log.read_bytes()[before:].decode("utf-8", "replace").strip().splitlines()
            raise NotStarted((said[-1] if said else f"it ended at once; see {log}").removeprefix("agentbus: "))
        if (failed := _failed_when_settled(home)) is not None:
            for name in failed:
                print(f"{name} failed; see {home.root / 'log' / name}.log", file=sys.stderr)
            print(f"running in the background, process {process.pid}; stop it with: agentbus down{_place(home)}")
            return
        time.sleep(0.05)
    raise NotStarted(f"the fleet was not ready within {_READY_WITHIN_S} s; see {log}")


def _failed_when_settled(home: Home) -> list[str] | None:
    """Which processes have failed by now, when every other one is ready. A sealer may fail over a changed trail.

    None as long as the fleet starts: where a process does not come up then, the whole ends.
    """
    try:
        answer = _ask(home, "status")
    except RestartFailed:
        return None
    processes = answer["processes"]
    if not answer["is_up"] or any(process["state"] not in {"ready", "failed"} for process in processes):
        return None
    return [process["name"] for process in processes if process["state"] == "failed"]


def _ask(home: Home, command: str) -> dict[str, Any]:
    return run_async(ask_supervisor(home.socket, {"command": command}, timeout_s=10))


def down(root: Path) -> None:
    """Stop the fleet, and return when it is gone."""
    home = Home(root.resolve())
    try:
        _ask(home, "stop")
    except RestartFailed:
        print(f"no fleet runs in {home.root}")
        return
    deadline = time.monotonic() + _READY_WITHIN_S
    while home.socket.exists():
        if time.monotonic() > deadline:
            raise NotStarted(f"the fleet did not stop within {_READY_WITHIN_S} s; see {home.root / 'log'}")
        time.sleep(0.05)
    print("stopped")


def control(root: Path, command: str, agent: str) -> None:
    """Tell the supervisor to stop, start or restart one agent."""
    home = Home(root.resolve())
    answer = run_async(ask_supervisor(home.socket, {"command": command, "agent": agent}))
    if not answer.get("ok"):
        raise RestartFailed(str(answer.get("error")))
    print(f"{agent} is {answer['state']}")


def provision(root: Path, source: Path | None) -> None:
    """Make everything a fleet needs, streams included; a fleet that runs goes on, otherwise nothing is left running."""
    log_quietly()
    home = Home(root.resolve())
    fleet = ensure_home(home, fleet_folder(source))
    host = run_async(_streams(fleet, home))
    note_by_hand(home, time.time_ns())
    print(f"provisioned fleet {fleet.name} in {home.root}: {', '.join(fleet.agents)}")
    if host:
        print(f"it runs, by {host}: the server has read its configuration again")
    print(f"server configuration: {home.server_config}")
    print(f"contexts for people:  XDG_CONFIG_HOME={home.contexts} nats --context NAME …")
    for command in settle(home.root, fleet):
        print(f"ran {command}")


async def _streams(fleet: Fleet, home: Home) -> str:
    """Returns who runs the fleet, empty where nobody does."""
    with alone(home):
        host = await running_host(home, fleet)
        if host is None:
            servers = await start_servers(fleet, home)
            await asyncio.gather(*(server.stop() for server in servers))
            return ""
        await provision_running(fleet, home, host.servers)
        await host.adopt(fleet, "")
        return host.name
