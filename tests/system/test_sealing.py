"""The sealed trail of a whole fleet: proven with public keys alone, sealed on after a kill, never over tampering."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agents.demo.stage import eventually
from tests.harness.fleet import RunningFleet, running_fleet, unencrypted


def sealed_up_to(fleet: RunningFleet) -> int:
    """How many messages the sealer's last checkpoint covers."""
    file = fleet.home.state("sealer") / "checkpoint"
    return int(file.read_text().split("\n")[1]) if file.exists() else 0


@pytest.mark.timeout(120)
def test_nothing_is_sealed_over_tampering(tmp_path: Path) -> None:
    """A byte changed in the store of a stopped fleet: the fleet runs, its sealer has failed and says where, `verify` exits 1."""
    with running_fleet(tmp_path, unencrypted) as fleet:
        eventually(lambda: sealed_up_to(fleet) > 0, "the trail is sealed")
        before = sealed_up_to(fleet)
        written = map(json.loads, fleet.run("audit", "replay", "--json", "--agent", "applier").stdout.splitlines())
        changed = next(one["sequence"] for one in written)
        fleet.run("down")
        sealed = sealed_up_to(fleet)
        assert sealed > before, "what the processes wrote as they ended is sealed"
        (block,) = (fleet.home.store / "jetstream/AUDIT/streams/AUDIT/msgs").glob("*.blk")
        data = block.read_bytes()
        block.write_bytes(data.replace(b'"actor":"applier"', b'"actor":"reviewer"'[:16] + b'"', 1))
        assert len(block.read_bytes()) == len(data)
        (block.parent / "index.db").unlink()
        fleet.run("up", "--detach")
        eventually(lambda: fleet.processes()["sealer"]["state"] == "failed", "the sealer has failed")
        assert {row["state"] for name, row in fleet.processes().items() if name != "sealer"} == {"ready"}
        (event,) = fleet.events("audit.contradicted")
        assert event["data"]["metadata"]["sequence"] == changed
        assert sealed_up_to(fleet) == sealed
        verified = fleet.run("audit", "verify", "--json", check=False)
        assert verified.returncode == 1
        assert json.loads(verified.stdout)["findings"][0]["sequence"] == changed
