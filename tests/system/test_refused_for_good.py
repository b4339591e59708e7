"""Processes whose key the server takes no more end with an error, so that their service manager knows; others go on."""

from __future__ import annotations

import asyncio
import re
from functools import partial
from pathlib import Path

import pytest

from agents.cli.run import EX_UNAVAILABLE
from bus.credentials import Credential, create_credential
from schemas import names
from tests.harness.fleet import bench, instance, until
from tests.harness.impatient import TIMES

pytestmark = pytest.mark.timeout(240)


async def said(output: Path, words: str, times: int = 1) -> None:
    """Return when a process has said these words so often."""

    async def is_said() -> bool:
        return output.read_text(errors="replace").count(words) >= times

    await until(is_said, timeout_s=60, every_s=0.2)


async def test_processes_without_their_key_end_with_an_error(tmp_path: Path) -> None:
    """One loses its key to the bus, one that to its own account: each ends by itself; a restart of the server ends none."""
    async with bench(tmp_path) as fleet:
        states = {agent: tmp_path / agent for agent in ("textstats", "concierge", "directory")}
        impatient = partial(instance, fleet.home, slot="0", module="tests.harness.impatient")
        with (
            impatient("textstats", state=states["textstats"]) as without_bus,
            impatient("concierge", state=states["concierge"]) as without_own,
            impatient("directory", state=states["directory"]) as unharmed,
        ):
            for state in states.values():
                await said(state / "output", '"process.ready"')
            await fleet.server.stop()
            await fleet.server.start()
            for state in states.values():
                await said(state / "output", '"bus.reconnected"', times=2)
            config = fleet.home.server_config
            text = config.read_text()
            for agent, credential in (("textstats", names.BUS_CREDENTIAL), ("concierge", names.OWN_CREDENTIAL)):
                public = Credential.find(fleet.home.credentials(agent), credential).public_key()
                assert text.count(public) == 1
                text = text.replace(public, create_credential(tmp_path / f"{agent}.stranger").public_key())
            config.write_text(text)
            fleet.server.reload()
            codes = await asyncio.gather(*(asyncio.to_thread(one.wait, 150) for one in (without_bus, without_own)))
            assert codes == [EX_UNAVAILABLE, EX_UNAVAILABLE]
            assert unharmed.poll() is None
    for agent, connection in (("textstats", "textstats.bus"), ("concierge", "concierge.own")):
        output = (states[agent] / "output").read_text(errors="replace")
        refused = re.search(rf"refused the key of {connection} (\d+) times", output.splitlines()[-1])
        assert refused
        assert int(refused[1]) >= TIMES
        assert "Traceback" not in output
