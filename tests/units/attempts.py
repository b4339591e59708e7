"""Attempts to connect: who tries too often waits, and the fleet goes on."""

from __future__ import annotations

import json
from pathlib import Path

from tests.harness.network import NOBODY
from tests.units.ground import Ground

UNIT = "agentbus-packet-filter"
_TRIED = 600
_SCRIPT = Path(__file__).parents[1] / "harness" / "attempts.py"


def attempts_to_connect_are_bounded(ground: Ground) -> str:
    """A user who tries 600 at once has some of them, and an agent is asked and answers meanwhile; no other table is touched."""
    machine = ground.machine
    machine.run(f"nft add table inet other && cat >/root/attempts.py <<'END'\n{_SCRIPT.read_text()}\nEND").check()
    let_in = int(machine.run(f"/usr/bin/python3 -IS /root/attempts.py 127.0.0.1 4222 {_TRIED} {NOBODY} 50").check())
    assert 50 <= let_in < _TRIED, let_in
    assert ground.answers_again("trial") == "back"
    dropped = _dropped(ground)
    assert dropped > 0
    machine.run(f"systemctl stop {UNIT}").check()
    assert machine.run("nft list tables").check() == "table inet other"
    machine.run(f"systemctl start {UNIT} && nft flush table inet agentbus && systemctl reload {UNIT}").check()
    assert machine.run("nft list tables").check().splitlines() == ["table inet other", "table inet agentbus"]
    assert "update @local_attempts" in machine.run("nft list chain inet agentbus local").check()
    return f"{let_in} of {_TRIED} at once were let in, {dropped} packets dropped"


def _dropped(ground: Ground) -> int:
    said = json.loads(ground.machine.run("nft -j list counter inet agentbus local_dropped").check())
    return int(said["nftables"][1]["counter"]["packets"])
