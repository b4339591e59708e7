"""The newsroom with a real fleet, whose models are the fake server: what each says follows from what it is asked."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from agents.home import NEWSROOM
from bus.surroundings import Home
from tests.harness.fake_llm import PROXY_VARIABLES, FakeLlm, Gate, Held, Say, Step
from tests.harness.fake_thread import in_a_thread
from tests.harness.fleet import CHECKOUT, RunningFleet, free_port

ROLES = {
    "researcher": "You collect what is known", "writer": "You make a text", "editor": "You edit the text",
    "judge": "You judge texts",
}  # fmt: skip
"""With which words the prompt of each begins."""
CALLS = {"researcher": 1, "writer": 2, "editor": 2, "judge": 2}
"""Of one run: the judge sends the first draft back."""
OUTPUT = "edited draft 2"
USD_PER_MILLION = 10
TOKENS = 18
"""Of one answer."""


class Newsroom(FakeLlm):
    """Says what a role says; the next answer to a role that is held waits at its gate."""

    def __init__(self) -> None:
        super().__init__()
        self.held: dict[str, Gate] = {}
        self.given: Counter[str] = Counter()
        """Answers that arrived whole, by role."""

    def _next(self) -> Step:
        role, asked = self._asked()
        gate = self.held.pop(role, None)
        return Held(Say(_said(role, asked)), gate) if gate else Say(_said(role, asked))

    def _asked(self) -> tuple[str, str]:
        system, *turns = self.requests[-1].body["messages"]
        role = next(role for role, words in ROLES.items() if system["content"].startswith(words))
        return role, turns[-1]["content"]

    async def _answer(self, step: Step, *rest: Any) -> bool:
        role, _ = self._asked()
        is_whole = await super()._answer(step, *rest)
        if is_whole:
            self.given[role] += 1
        return is_whole


def _said(role: str, asked: str) -> str:
    draft = 2 if "draft 2" in asked or "too long" in asked else 1
    return {
        "researcher": "notes",
        "writer": f"draft {draft}",
        "editor": f"edited draft {draft}",
        "judge": f'{{"points": {9 if draft == 2 else 5}, "reason": "too long"}}',
    }[role]


class RunningNewsroom:
    """The fleet, its fake, and its pipeline."""

    def __init__(self, fleet: RunningFleet, fake: Newsroom, loop: asyncio.AbstractEventLoop, file: Path) -> None:
        self.fleet, self.fake, self._loop, self.file = fleet, fake, loop, file

    def pipeline(self, *options: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """`agentbus pipeline …` to its end."""
        return self.fleet.run("pipeline", str(self.file), *options, check=check)

    def begun(self, *options: str) -> subprocess.Popen[bytes]:
        """The same in a process that can be killed."""
        command = [sys.executable, "-m", "agents.cli", "pipeline", str(self.file), *options]
        environment = {**os.environ, "AGENTBUS_HOME": str(self.fleet.home.root), "PYTHONPATH": str(CHECKOUT)}
        return subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self.fleet.home.root
        )

    def hold(self, role: str) -> Gate:
        """Have the next answer to a role wait."""
        gate = self.fake.held[role] = Gate()
        return gate

    def release(self, gate: Gate) -> None:
        """Let it go."""
        self._loop.call_soon_threadsafe(gate.release.set)

    def pid(self, agent: str) -> int:
        """The process of an agent."""
        return int(self.fleet.processes()[f"agent-{agent}"]["pid"])


@contextmanager
def running_newsroom(folder: Path) -> Iterator[RunningNewsroom]:
    """The product's own newsroom, with the fake in the place of its models."""
    fake = Newsroom()
    with pytest.MonkeyPatch.context() as patch, in_a_thread(fake) as loop:
        for variable in (*PROXY_VARIABLES, "ANTHROPIC_API_KEY", "OPENAI_API_KEY"):
            patch.delenv(variable, raising=False)
        patch.setenv("FAKE_KEY", fake.api_key)
        source = folder / "source"
        shutil.copytree(NEWSROOM, source, ignore=shutil.ignore_patterns("__pycache__"))
        _edit(source / "fleet.yaml", lambda document: document["nats"].update(port=free_port()))
        for role in ROLES:
            _edit(source / "agents" / role / "agent.yaml", lambda document: _asks(document, fake.openai_url))
        home = Home(folder / "home")
        home.root.mkdir()
        fleet = RunningFleet(home)
        fleet.run("up", "--detach", "--fleet", str(source))
        try:
            yield RunningNewsroom(fleet, fake, loop, source / "pipeline.yaml")
        finally:
            fleet.run("down")


def _asks(document: dict[str, Any], url: str) -> None:
    price = {"input_usd_per_million": USD_PER_MILLION, "output_usd_per_million": USD_PER_MILLION}
    document["llm"]["pool"] = [
        {"provider": "openai", "model": "m-1", "base_url": url, "api_key": "env:FAKE_KEY", "price": price}
    ]


def _edit(file: Path, change: Any) -> None:
    document = yaml.safe_load(file.read_text())
    change(document)
    file.write_text(yaml.safe_dump(document, sort_keys=False))
