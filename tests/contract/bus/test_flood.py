"""A flood of logins that fail, in small: `make flood` measures a large one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.flood.__main__ import attack
from tests.flood.work import working
from tests.harness.fleet import bench

_LOGINS, _SILENT = 400, 300


@pytest.mark.parametrize(("tls", "how"), [(False, "refused"), (True, "handshakes not gone on with")])
async def test_nobody_gets_in_and_work_goes_on(tmp_path: Path, *, tls: bool, how: str) -> None:
    """Each login fails, each request meanwhile is answered, and whoever has a key of the fleet is let in.

    The sockets that say nothing are more than the fleet has members: they keep nobody out.
    """

    def change(fleet: dict[str, Any]) -> None:
        fleet["nats"]["tls"] = tls

    async with bench(tmp_path, change) as running, working(running) as work:
        outcome = await attack(running, work, _LOGINS, 1.0, _SILENT)
        assert outcome.ends[how] == _LOGINS
        assert not outcome.ends.keys() & {"LET IN", "never ended"}
        assert len(outcome.during) == 200
        assert outcome.logins
        assert work.turned_away == 0
