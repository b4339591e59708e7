"""What is measured: a server, an agent's process as `agentbus up` starts it, and the baseline beside it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from agents.supervisor.child import Child
from agents.supervisor.fleet_processes import commands
from bus.requests.caller import Caller
from tests.harness.agent import caller
from tests.harness.fleet import CHECKOUT, Attacker, Bench, bench

AGENT = "textstats"
_HANDLER = Path(__file__).parent / "handler.py"
_AGENT_FILE = f"""\
agent: {{id: {AGENT}, description: Counts., version: 1.0.0}}
handler: handler.py:SKILLS
limits:
  requests_per_s: 0
"""


@dataclass(frozen=True)
class Stage:
    """`agent` is our worker; `raw` and `ours` are the two ways to ask, with the same key."""

    bench: Bench
    agent: Child
    ours: Caller
    raw: Attacker

    @property
    def resident_mib(self) -> float:
        """Memory of the worker that is in use now."""
        status = Path(f"/proc/{self.agent.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024


FILES = {AGENT: (_AGENT_FILE, _HANDLER.read_text())}
"""Of the worker, for a bench that is to have it."""


@asynccontextmanager
async def stage(others: Mapping[str, tuple[str, str]] = MappingProxyType({})) -> AsyncIterator[Stage]:
    """Everything started; everything stopped at the end. `others` are agents with their files, which are not started."""
    with tempfile.TemporaryDirectory(prefix="agentbus-bench-") as folder:
        async with bench(Path(folder), agents={**FILES, **others}) as running:
            await _baseline(running)
            async with worker(running) as agent:
                yield Stage(running, agent, await caller(running), await running.attacker("ops"))


@asynccontextmanager
async def worker(running: Bench) -> AsyncIterator[Child]:
    """The agent's process, as `agentbus up` starts it, on a bench that has its files."""
    stages = commands(running.fleet, running.home, running.server.url)
    agent = Child(next(c for s in stages for c in s if c.name == f"agent-{AGENT}"), lambda _: None)
    await agent.start()
    yield agent
    await agent.stop()


async def _baseline(running: Bench) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.responder", running.server.url, str(running.home.root)],
        stdout=subprocess.PIPE, text=True, cwd=CHECKOUT,
    )  # fmt: skip
    running.stack.callback(process.wait)
    running.stack.callback(process.kill)
    assert process.stdout is not None
    assert await asyncio.to_thread(process.stdout.readline) == "ready\n"
