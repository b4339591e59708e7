"""From an empty machine to an answer: provision, start the units, ask an agent, stop."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness.needs import needs
from tests.harness.systemd_boot import Machine, booted, obstacle
from tests.harness.systemd_units import add_agent_users, fleet_guest

pytestmark = needs(obstacle() is None, obstacle())

HOME = "/var/lib/agentbus"
AGENT, DIRECTORY = "greeter", "directory"
UNITS = (
    "nats-server.service", "agentbus-approvals.service", "agentbus-sealer.service", "agentbus-witness@witness-a.service",
    f"agent@{AGENT}.service",
)  # fmt: skip


@pytest.fixture
def machine() -> Iterator[Machine]:
    """A booted guest with units, users and the provisioned fleet; nothing runs yet."""
    with booted(fleet_guest()) as guest:
        guest.run(f"systemd-sysusers && {add_agent_users(AGENT, DIRECTORY)}").check()
        guest.run(f"agentbus provision --home {HOME}").check()
        guest.run("systemd-tmpfiles --create agentbus.conf").check()
        yield guest


def journals(machine: Machine) -> str:
    """What every unit said, for the message of a failed assertion."""
    return "\n".join(f"--- {unit}\n{machine.journal(unit)}" for unit in UNITS)


def start(machine: Machine) -> None:
    """Start the fleet as an operator does; returns when every process of ours said that it is ready."""
    started = machine.run(f"systemctl start {' '.join(UNITS)}")
    assert started.code == 0, started.err + journals(machine)


def test_an_operator_starts_the_fleet_asks_an_agent_and_stops(machine: Machine) -> None:
    """The agent answers under its full sandbox, the trail is sealed and cosigned, and every unit ends in order."""
    start(machine)
    for unit in UNITS:
        assert machine.properties(unit, "ActiveState", "NRestarts") == {"ActiveState": "active", "NRestarts": "0"}
    asked = machine.run(f"agentbus ask --home {HOME} {AGENT} hello")
    assert asked.code == 0, asked.err + journals(machine)
    assert asked.out.strip()
    sealed = f"for try in $(seq 100); do test -s {HOME}/state/sealer/checkpoint && exit; sleep 0.2; done; exit 1"
    assert machine.run(sealed, timeout_s=50).code == 0, journals(machine)
    assert "example/witness-a " in machine.run(f"cat {HOME}/state/sealer/checkpoint").check()
    assert machine.run(f"stat -c %U {HOME}/state/witness-a/checkpoint").check() == "seal-witness-a"
    machine.run(f"systemctl stop {' '.join(reversed(UNITS))}").check()
    for unit in UNITS:
        ended = {"ActiveState": "inactive", "Result": "success", "NRestarts": "0"}
        assert machine.properties(unit, *ended) == ended, machine.journal(unit)
    assert machine.run("systemctl --failed --no-legend").check() == ""


def test_the_fleet_survives_a_restart_of_the_server(machine: Machine) -> None:
    """After nats-server was restarted the same agent process answers again."""
    start(machine)
    unit = f"agent@{AGENT}.service"
    before = machine.properties(unit, "MainPID")
    machine.run("systemctl restart nats-server").check()
    patient = f"for try in $(seq 50); do agentbus ask --home {HOME} {AGENT} hello && exit; sleep 0.2; done; exit 1"
    asked = machine.run(patient, timeout_s=50)
    assert asked.code == 0, asked.err + journals(machine)
    assert machine.properties(unit, "MainPID", "NRestarts") == {**before, "NRestarts": "0"}


def test_the_directory_verifies_cards_in_its_sandbox(machine: Machine) -> None:
    """With the keys as provisioning and tmpfiles leave them, the agent's signed card is believed."""
    start(machine)
    machine.run(f"systemctl start agent@{DIRECTORY}").check()
    listing = f"agentbus agents list --home {HOME} --json --skill greet"
    found = machine.run(f"for try in $(seq 50); do {listing} && exit; sleep 0.2; done; exit 1", timeout_s=50)
    assert found.code == 0, found.err + machine.journal(f"agent@{DIRECTORY}.service")
    assert '"card_state":"signed"' in found.out
