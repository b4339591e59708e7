"""What tests of several modules need."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.contract.approvals.approvals_bench import Approvals
from tests.harness.fake_llm import FakeLlm
from tests.harness.fleet import Bench, bench
from tests.harness.llm import KEY
from tests.harness.model_agent import ModelStage, directly, model_stage


@pytest.fixture
async def approvals(fleet_bench: Bench) -> AsyncIterator[Approvals]:
    """The example fleet with its approval service running."""
    running = Approvals(fleet_bench)
    await running.start()
    yield running
    await running.close()


@pytest.fixture
async def fake(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeLlm]:
    """The server that speaks as providers do, with no proxy before it; its key is `tests.harness.llm.KEY`."""
    directly(monkeypatch)
    async with FakeLlm(api_key=KEY) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def shared_bench(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bench]:
    """As `fleet_bench`, one for all tests of a module: they serve agents and end them, and look at their own tasks alone.

    Its module says `pytestmark = pytest.mark.asyncio(loop_scope="module")`.
    """
    async with bench(tmp_path_factory.mktemp("fleet")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def model_agent(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ModelStage]:
    """`greeter` by its module's AGENT, with a server behind its models, whose key is the module's OWN_KEY if it has one.

    One for all tests of the module, which says the same as for `shared_bench`. A test that is parametrised over it,
    indirectly, gives another file.
    """
    file, key = getattr(request, "param", request.module.AGENT), getattr(request.module, "OWN_KEY", KEY)
    async with model_stage(tmp_path_factory.mktemp("models"), file, api_key=key) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def talk(model_agent: ModelStage) -> ModelStage:
    """The module's `model_agent`, with nothing of an earlier test on the server."""
    return model_agent.anew()
