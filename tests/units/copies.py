"""A copy of a fleet of units, and the fleet that is made of it, as after the loss of the machine."""

from __future__ import annotations

import json

from tests.units.ground import HOME, Ground

_FILE = "/root/fleet.backup"
_LOST = f"systemctl stop agentbus.target nats-server && mv {HOME} /root/lost && ls /root/lost"
_MADE = (
    f"agentbus restore {_FILE} --home {HOME} && agentbus provision --home {HOME} && "
    "systemd-tmpfiles --create agentbus.conf && systemctl start agentbus.target"
)


def a_fleet_is_copied_and_made_again(ground: Ground) -> str:
    """While it works, by root; what is made of the copy is owned by who uses it, answers, and has a sound trail."""
    server = "systemctl show --property=MainPID --value nats-server"
    before = ground.machine.run(server).check()
    told = json.loads(ground.machine.run(f"agentbus backup {_FILE} --home {HOME} --json", timeout_s=120).check())
    assert told["held_s"] > 0, told
    assert ground.machine.run(server).check() == before
    assert ground.ask("greeter", "hello")
    ground.machine.run(_LOST, timeout_s=120).check()
    made = ground.machine.run(_MADE, timeout_s=180).check()
    assert "sound: " in made, made
    assert ground.ask("greeter", "hello")
    ground.machine.run(f"agentbus audit verify --home {HOME}", timeout_s=60).check()
    return f"the server was held for {told['held_s'] * 1000:.0f} ms; {told['files']} files came back"
