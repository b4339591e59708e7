"""`make flood`: 10,000 failed logins in 10 seconds on a server that others work with, and what that costs them.

An agent's process is asked at an even rate, in rounds: without a flood, with one, and with one and the packet filter
that provisioning generates. Each login fails in another way, and further sockets say nothing at all. The last line begins
with `flood:`; exits with 1 when the median of the rounds' ratios, of the 99th percentile with to that without, is 2 or
more, a login was let in, or somebody with a key of the fleet was not let in meanwhile.

The filter needs root and nftables: all of it runs in a network of its own then, the attacker as another user. Elsewhere
the verdict is of what was measured without it, and says so. The attacker would have a machine of its own: here it has
what processor time the others leave, and what it used is printed. What else runs on the machine counts for more: run it
alone there.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import uvloop

from agents.cli.run import log_quietly
from bus.credentials import Credential
from tests.bench.rates import COUNT
from tests.bench.stage import AGENT, FILES, worker
from tests.flood.attacker import Order
from tests.flood.work import Work, p99
from tests.harness import network
from tests.harness.agent import caller
from tests.harness.fleet import CHECKOUT, Bench, bench

_TICKS = os.sysconf("SC_CLK_TCK")
_FILTERED, _OPEN = "with the packet filter", "without it"


class Outcome(NamedTuple):
    """What the attacker said of itself, and what the server and the honest ones needed meanwhile."""

    ends: dict[str, int]
    took_s: float
    attackers_s: float
    servers_s: float
    during: list[float]
    logins: list[float]
    turned_away: int


class Flooded(NamedTuple):
    """One flood of a round, and how many times as long the 99th percentile was with it."""

    outcome: Outcome
    ratio: float


def order_for(running: Bench, logins: int, seconds: float, silent: int, **more: Any) -> Order:
    """What the attacker of this server is to do."""
    key = Credential.find(running.home.credentials("greeter"), "bus.nk").public_key()
    nats = running.fleet.nats
    return Order(nats.port, logins, seconds, silent, key, nats.has_tls, **more)


async def attack(running: Bench, work: Work, order: Order) -> Outcome:
    """Flood the server while others work."""
    before_s, turned_away = _used_s(running.server.process.pid), work.turned_away
    command = [sys.executable, "-m", "tests.flood.attacker", json.dumps(asdict(order))]
    attacker = await asyncio.create_subprocess_exec(*command, cwd=CHECKOUT, stdout=asyncio.subprocess.PIPE)
    during, newcomers, (out, _) = await asyncio.gather(
        work.goes_on(order.seconds), work.newcomers(order.seconds), attacker.communicate()
    )
    said: dict[str, Any] = json.loads(out)
    servers_s = _used_s(running.server.process.pid) - before_s
    away = work.turned_away - turned_away
    return Outcome(said["ends"], said["took_s"], said["processor_s"], servers_s, during, newcomers, away)


def _used_s(pid: int) -> float:
    """Processor time of a process, in seconds. Source: proc_pid_stat(5)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _told(way: str, quiet: list[float], outcome: Outcome) -> Flooded:
    """Print one flood of a round."""
    ratio = p99(outcome.during) / p99(quiet)
    ends = ", ".join(f"{count} {how}" for how, count in sorted(outcome.ends.items()))
    processors = (
        f"attacker {outcome.attackers_s:.1f} s, server {outcome.servers_s:.1f} s, of {os.cpu_count()} processors"
    )
    print(f"  {way}")
    print(f"    logins      {ends}; {outcome.took_s:.1f} s; {processors}")
    print(f"    newcomers   {len(outcome.logins)} let in; slowest {max(outcome.logins, default=0) * 1000:.0f} ms")
    requests = (
        f"p99 of {len(outcome.during)} requests {p99(quiet):.2f} ms without a flood, {p99(outcome.during):.2f} ms"
    )
    print(f"    work        {requests} with it: {ratio:.2f} times", flush=True)
    return Flooded(outcome, ratio)


@contextmanager
def _filtered(file: Path) -> Iterator[None]:
    """The packet filter in force."""
    network.load(file)
    try:
        yield
    finally:
        network.unload()


async def main(settings: argparse.Namespace) -> int:
    """Run it; the exit code."""

    def change(fleet: dict[str, Any]) -> None:
        fleet["nats"]["tls"] = bool(settings.tls)

    with tempfile.TemporaryDirectory(prefix="agentbus-flood-") as folder:
        async with bench(Path(folder), change, FILES) as running, worker(running):
            asker = await caller(running)
            work = Work(running, lambda: asker.send_message(AGENT, COUNT))
            await work.goes_on(2)
            return _judged(await _rounds(running, work, settings), settings.logins)


async def _rounds(running: Bench, work: Work, settings: argparse.Namespace) -> dict[str, list[Flooded]]:
    """Every flood by its way, the one that is judged first."""
    order = order_for(
        running, settings.logins, settings.seconds, settings.silent, is_elsewhere=True, user=settings.user
    )
    ways: dict[str, Callable[[], AbstractContextManager[None]]] = {}
    if settings.user:
        ways[_FILTERED] = partial(_filtered, running.home.packet_filter)
    if not (settings.user and settings.filtered):
        ways[_OPEN] = nullcontext
    found: dict[str, list[Flooded]] = {way: [] for way in ways}
    for number in range(1, settings.rounds + 1):
        print(f"round {number} of {settings.rounds}", flush=True)
        quiet = await _quietly(work, settings.seconds)
        for way, within in ways.items():
            with within():
                outcome = await attack(running, work, order)
            found[way].append(_told(way, quiet, outcome))
    return found


async def _quietly(work: Work, for_s: float) -> list[float]:
    """Nobody attacks; newcomers come all the same."""
    during, _ = await asyncio.gather(work.goes_on(for_s), work.newcomers(for_s))
    return during


def _judged(found: dict[str, list[Flooded]], logins: int) -> int:
    """Print the verdict, which is of the first way; nobody is let in any way. The exit code."""
    way, judged = next(iter(found.items()))
    let_in = sum(one.outcome.ends.get("LET IN", 0) for floods in found.values() for one in floods)
    left = sum(one.outcome.ends.get("never ended", 0) for one in judged)
    away = sum(one.outcome.turned_away for one in judged)
    medians = {name: median(one.ratio for one in floods) for name, floods in found.items()}
    verdict = "held" if medians[way] < 2 and not let_in + left + away else "NOT HELD"
    not_filtered = "" if way == _FILTERED else " (the packet filter could not be tried here)"
    times = ", ".join(f"{ratio:.2f} times {name}" for name, ratio in medians.items())
    print(
        f"flood: {verdict}{not_filtered}: {logins} failed logins, {let_in} let in, {left} without an end, "
        f"{away} with a key turned away; p99 {times}, medians of {len(judged)} rounds"
    )
    return int(verdict != "held")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.flood", description=__doc__)
    parser.add_argument("--logins", type=int, default=10_000, help="how many logins fail")
    parser.add_argument("--seconds", type=float, default=10, help="within how long")
    parser.add_argument("--rounds", type=int, default=5, help="how often it is done, each way")
    parser.add_argument("--silent", type=int, default=200, help="sockets that say nothing, all the time")
    parser.add_argument("--filtered", action="store_true", help="with the packet filter alone, where it can be tried")
    parser.add_argument(
        "--tls", action="store_true", help="on a server that speaks TLS: handshakes that are not gone on with"
    )
    return parser.parse_args()


def _user() -> int:
    """As whom the attacker comes, in a network that was made for it; 0 where none can be made."""
    if problem := network.obstacle():
        print(f"without the packet filter: {problem}")
        return 0
    network.enter_own_network()
    return network.NOBODY


if __name__ == "__main__":
    asked = _arguments()
    asked.user = _user()
    log_quietly()
    raise SystemExit(uvloop.run(main(asked)))
