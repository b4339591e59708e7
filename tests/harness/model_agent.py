"""An agent with a model on a bus, and the server behind it; `tests/contract/conftest.py` has it as a fixture."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from bus.requests.caller import Caller
from tests.harness.agent import Agent, caller, serving
from tests.harness.fake_llm import PROXY_VARIABLES, FakeLlm
from tests.harness.fleet import Bench, bench
from tests.harness.llm import KEY


@dataclass
class ModelStage:
    """The fleet, its agent `greeter`, the server that its models ask, and somebody who asks it."""

    bench: Bench
    agent: Agent
    fake: FakeLlm
    ops: Caller

    def anew(self) -> ModelStage:
        """The same, with nothing of an earlier test on the server."""
        self.fake.script.clear()
        self.fake.requests.clear()
        self.fake.default = None
        return self


@asynccontextmanager
async def model_stage(folder: Path, file: str, *, api_key: str = KEY) -> AsyncIterator[ModelStage]:
    """Serve `greeter` by `file`, in which KEY, URL and ANTHROPIC stand for the key's file and the server's addresses."""
    with pytest.MonkeyPatch.context() as patch:
        directly(patch)
        async with FakeLlm(api_key=api_key) as fake:
            filled = filled_in(file, fake, folder)
            async with (
                bench(folder, agents={"greeter": (filled, "")}) as running,
                serving(running, "greeter") as agent,
            ):
                yield ModelStage(running, agent, fake, await caller(running))


def directly(patch: pytest.MonkeyPatch) -> None:
    """Have no proxy between clients and servers."""
    for variable in PROXY_VARIABLES:
        patch.delenv(variable, raising=False)


def filled_in(file: str, fake: FakeLlm, folder: Path) -> str:
    """An agent's file with the addresses of the server, and with its key in a file of `folder`."""
    key = folder / "key"
    key.write_text(fake.api_key)
    key.chmod(0o600)
    said = {"KEY": str(key), "URL": fake.openai_url, "ANTHROPIC": fake.anthropic_url}
    for name, value in said.items():
        file = file.replace(name, value)
    return file
