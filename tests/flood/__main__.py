"""`make flood`: 10,000 failed logins in 10 seconds on a server that others work with, and what that costs them.

Requests go from one agent to another at an even rate, in rounds: without a flood, then with one. Each login fails in
another way, and further sockets say nothing at all. The last line begins with `flood:`; exits with 1 when the median
of the rounds' ratios, of the 99th percentile with to that without, is 2 or more, a login was not refused, or somebody
with a key of the fleet was not let in meanwhile.

The attacker would have a machine of its own. Here it runs with the lowest priority, and what it used is printed. What
else runs on the machine counts for more: run it alone there.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import uvloop

from agents.cli.run import log_quietly
from bus.credentials import Credential
from tests.flood.work import Work, p99, working
from tests.harness.fleet import CHECKOUT, Bench, bench

_LAST = 19
_TICKS = os.sysconf("SC_CLK_TCK")


class Outcome(NamedTuple):
    """What the attacker said of itself, and what the server and the honest ones needed meanwhile."""

    ends: dict[str, int]
    took_s: float
    attackers_s: float
    servers_s: float
    during: list[float]
    logins: list[float]


async def attack(running: Bench, work: Work, logins: int, seconds: float, silent: int, niceness: int = 0) -> Outcome:
    """Flood the server while others work.

    An attacker would have a machine of its own; where that matters, one with a `niceness` takes what the others leave.
    """
    key = Credential.find(running.home.credentials("greeter"), "bus.nk").public_key()
    more = ["tls"] if running.fleet.nats.has_tls else []
    numbers = [str(number) for number in (running.fleet.nats.port, logins, seconds, silent, niceness)]
    before_s = _used_s(running.server.process.pid)
    attacker = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.flood.attacker", *numbers, key, *more, cwd=CHECKOUT, stdout=asyncio.subprocess.PIPE
    )
    during, newcomers, (out, _) = await asyncio.gather(
        work.goes_on(seconds), work.newcomers(seconds), attacker.communicate()
    )
    said: dict[str, Any] = json.loads(out)
    servers_s = _used_s(running.server.process.pid) - before_s
    return Outcome(said["ends"], said["took_s"], said["processor_s"], servers_s, during, newcomers)


def _used_s(pid: int) -> float:
    """Processor time of a process, in seconds. Source: proc_pid_stat(5)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _told(quiet: list[float], outcome: Outcome) -> float:
    """Print one round; its ratio."""
    ratio = p99(outcome.during) / p99(quiet)
    ends = ", ".join(f"{count} {how}" for how, count in sorted(outcome.ends.items()))
    processors = (
        f"attacker {outcome.attackers_s:.1f} s, server {outcome.servers_s:.1f} s, of {os.cpu_count()} processors"
    )
    print(f"  logins      {ends}; {outcome.took_s:.1f} s; {processors}")
    print(f"  newcomers   {len(outcome.logins)} let in; slowest {max(outcome.logins, default=0) * 1000:.0f} ms")
    requests = f"p99 of {len(outcome.during)} requests {p99(quiet):.2f} ms without, {p99(outcome.during):.2f} ms with"
    print(f"  work        {requests}: {ratio:.2f} times", flush=True)
    return ratio


def _judged(ratios: list[float], outcomes: list[Outcome], logins: int, turned_away: int) -> int:
    """Print the verdict; the exit code."""
    let_in = sum(outcome.ends.get(end, 0) for outcome in outcomes for end in ("LET IN", "never ended"))
    ratio = median(ratios)
    is_held = ratio < 2 and not let_in and not turned_away
    print(
        f"flood: {'held' if is_held else 'NOT HELD'}: {logins} failed logins a round, {let_in} not refused, "
        f"{turned_away} with a key turned away; p99 {ratio:.2f} times, median of {len(ratios)} rounds"
    )
    return int(not is_held)


async def main(settings: argparse.Namespace) -> int:
    """Run it; the exit code."""

    def change(fleet: dict[str, Any]) -> None:
        fleet["nats"]["tls"] = bool(settings.tls)

    with tempfile.TemporaryDirectory(prefix="agentbus-flood-") as folder:
        async with bench(Path(folder, "fleet"), change) as running, working(running) as work:
            await work.goes_on(2)
            ratios, outcomes = [], []
            for _ in range(settings.rounds):
                quiet = await _quietly(work, settings.seconds)
                logins, silent = settings.logins, settings.silent
                outcomes.append(await attack(running, work, logins, settings.seconds, silent, _LAST))
                ratios.append(_told(quiet, outcomes[-1]))
    return _judged(ratios, outcomes, settings.logins, work.turned_away)


async def _quietly(work: Work, for_s: float) -> list[float]:
    """Nobody attacks; newcomers come all the same."""
    during, _ = await asyncio.gather(work.goes_on(for_s), work.newcomers(for_s))
    return during


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.flood", description=__doc__)
    parser.add_argument("--logins", type=int, default=10_000, help="how many logins fail")
    parser.add_argument("--seconds", type=float, default=10, help="within how long")
    parser.add_argument("--rounds", type=int, default=5, help="how often it is done, without a flood and with one")
    parser.add_argument("--silent", type=int, default=200, help="sockets that say nothing, all the time")
    parser.add_argument(
        "--tls", action="store_true", help="on a server that speaks TLS: handshakes that are not gone on with"
    )
    return parser.parse_args()


if __name__ == "__main__":
    log_quietly()
    raise SystemExit(uvloop.run(main(_arguments())))
