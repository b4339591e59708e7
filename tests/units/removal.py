"""The end: one command stops everything in order; uninstalling leaves nothing but the data."""

from __future__ import annotations

from tests.units.ground import HOME, TARGET, UNITS, Ground


def every_unit_stops_in_order(ground: Ground) -> str:
    """Stopping is no failure of any of them."""
    ground.machine.run(f"systemctl stop {' '.join(reversed(UNITS))}", timeout_s=90).check()
    for unit in UNITS:
        ended = {"ActiveState": "inactive", "Result": "success"}
        assert ground.machine.properties(unit, *ended) == ended, ground.machine.journal(unit)
    assert ground.machine.run("systemctl --failed --no-legend").check() == ""
    return f"{len(UNITS)} units ended with success"


def uninstalling_leaves_the_data(ground: Ground) -> str:
    """`agentbus uninstall` on a fleet at work: nothing of ours runs or is known to systemd; the data is there."""
    ground.machine.run(f"systemctl start {TARGET} nats-server agent@greeter", timeout_s=90).check()
    data = f"cd {HOME} && find credentials fleet.git releases nats/conf state/sealer/checkpoint -type f | sort"
    kept = ground.machine.run(data).check()
    said = ground.machine.run("agentbus uninstall --yes", timeout_s=120).check()
    running = ground.machine.run("ps -eo user=,args= | grep -E '^(agent|nats|seal)'").out
    assert running == "", running + said
    left = ground.machine.run("systemctl list-unit-files --no-legend 'agent*' nats-server.service").out
    assert left.strip() == "", left + said
    now = ground.machine.run(data).check()
    assert now == kept, (now, kept)
    return (
        f"no unit file, no process; the {len(kept.splitlines())} files of keys, releases and the sealed trail are there"
    )
