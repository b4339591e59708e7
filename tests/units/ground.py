"""The fleet that the checks are made on: a booted systemd with the units installed and three agents at work."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from agents.home import EXAMPLE
from tests.harness.server_install import AGENTBUS, bare_guest
from tests.harness.systemd_boot import Guest, Machine, booted
from tests.harness.systemd_units import CHECKOUT, add_agent_users, fleet_guest

HOME = "/var/lib/agentbus"
AGENTS = ("greeter", "directory", "trial")
CORE = ("nats-server", "agentbus-approvals", "agentbus-sealer", "agentbus-witness@witness-a")
UNITS = (*CORE, *(f"agent@{name}" for name in AGENTS))
TARGET = "agentbus.target"
FLEET = "units"
PYTHON = "/opt/agentbus/current/bin/python"
_HERE = Path(__file__).parent
_FLEET = f"""\
name: {FLEET}
agents:
  greeter:
    may_propose: false
  directory:
    reads_cards: true
    may_propose: false
  trial:
    may_propose: false
operators: [ops]
reviewers:
  reviewer:
    groups: [staff]
  second:
    groups: [staff]
auditors: [auditor]
nats:
  host: 127.0.0.1
  port: 4222
"""
_TRIAL = """\
agent:
  id: trial
  description: Does things to its own unit.
  version: 1.0.0
handler: handler.py:trial
limits:
  requests_per_s: 0
"""
_FASTER = """\
[Service]
WatchdogSec=5s
RestartSec=100ms
"""
"""Seconds where a fleet at work waits for longer."""
_SMALL = """\
[Service]
TemporaryFileSystem=
TemporaryFileSystem=/var/lib/agentbus:ro
TemporaryFileSystem=/tmp:size=16M,mode=1777,nosuid,nodev,noexec
"""
"""A /tmp that is filled at once."""


@dataclass(frozen=True, slots=True)
class Ground:
    """The booted machine, and an operator's view of the fleet on it."""

    machine: Machine

    def ask(self, agent: str, text: str, *, timeout_s: float = 60) -> str:
        """The agent's answer, as `agentbus ask` prints it.

        Raises:
            AssertionError: there was none; the message has the agent's journal.
        """
        asked = self.machine.run(f"agentbus ask --home {HOME} {agent} '{text}'", timeout_s=timeout_s)
        assert asked.code == 0, asked.err + self.machine.journal(f"agent@{agent}")
        return asked.out.strip()

    def tell(self, agent: str, text: str) -> None:
        """Ask without waiting for the answer: whoever is asked may not survive it."""
        self.machine.run(f"agentbus ask --home {HOME} --timeout 20 {agent} '{text}' >/dev/null 2>&1 &").check()

    def answers_again(self, agent: str) -> str:
        """The same for an agent that may be on its way back: asked until it answers."""
        patient = f"for try in $(seq 50); do agentbus ask --home {HOME} {agent} 'work 1 back' && exit; done; exit 1"
        asked = self.machine.run(patient, timeout_s=60)
        assert asked.code == 0, asked.err + self.machine.journal(f"agent@{agent}")
        return asked.out.strip()

    def came_back(self, agent: str, before: str) -> dict[str, str]:
        """Wait until the agent's unit runs another process than `before`, and say which.

        Raises:
            AssertionError: it does not.
        """
        unit = f"agent@{agent}"
        changed = f"""for try in $(seq 400); do
            [ "$(systemctl show -P MainPID '{unit}')" != '{before}' ] && systemctl is-active -q '{unit}' && exit 0
            sleep 0.05; done; exit 1"""
        assert self.machine.run(changed, timeout_s=60).code == 0, self.machine.journal(unit)
        return self.machine.properties(unit, "MainPID", "NRestarts")

    def pid(self, unit: str) -> str:
        """The main process of a unit as the guest sees it."""
        return self.machine.properties(unit, "MainPID")["MainPID"]

    def fresh(self) -> None:
        """Forget failures and restarts of before: a check starts with its own."""
        self.machine.run(f"systemctl reset-failed {' '.join(UNITS)}")

    @contextmanager
    def limited(self, agent: str, **limits: str) -> Iterator[None]:
        """The agent with these limits, while it runs; with its unit's own ones at the end."""
        unit = f"agent@{agent}.service"
        values = " ".join(f"{name}={value}" for name, value in limits.items())
        self.machine.run(f"systemctl set-property --runtime {unit} {values}").check()
        try:
            yield
        finally:
            drop_ins = " ".join(f"/run/systemd/system.control/{unit}.d/50-{name}.conf" for name in limits)
            self.machine.run(f"rm {drop_ins} && systemctl daemon-reload").check()


def _files() -> dict[str, str]:
    fleet = "/root/fleet"
    examples = [path for name in ("greeter", "directory") for path in (EXAMPLE / "agents" / name).iterdir()]
    return {
        f"{fleet}/fleet.yaml": _FLEET,
        f"{fleet}/policy.yaml": (EXAMPLE / "policy.yaml").read_text(),
        **{f"{fleet}/{path.relative_to(EXAMPLE)}": path.read_text() for path in examples if path.is_file()},
        f"{fleet}/agents/trial/agent.yaml": _TRIAL,
        f"{fleet}/agents/trial/handler.py": (_HERE / "handler.py").read_text(),
        "/root/load_client.py": (_HERE / "load_client.py").read_text(),
        **{f"/etc/systemd/system/agent@{name}.service.d/faster.conf": _FASTER for name in AGENTS},
        "/etc/systemd/system/agent@trial.service.d/small.conf": _SMALL,
    }


@contextmanager
def ground(*, is_installed: bool = False) -> Iterator[Ground]:
    """Boot, provision and start, as an operator does; the guest is gone at the end.

    `is_installed`: by `agentbus install`, from this checkout; otherwise the same files are put in place, which is quicker.

    Raises:
        AssertionError: the fleet did not start; the message has its journals.
    """
    with booted(Guest(binds=bare_guest().binds, files=_files()) if is_installed else fleet_guest(_files())) as machine:
        users = f"systemd-sysusers && {add_agent_users(*AGENTS)}"
        machine.run(f"cd {CHECKOUT} && {AGENTBUS} install" if is_installed else users, timeout_s=200).check()
        machine.run(f"agentbus provision --home {HOME} --fleet /root/fleet", timeout_s=90).check()
        machine.run("systemd-tmpfiles --create agentbus.conf").check()
        started = machine.run(f"systemctl enable --now {TARGET} {' '.join(UNITS)}", timeout_s=120)
        assert started.code == 0, started.err + "\n".join(machine.journal(unit) for unit in UNITS)
        yield Ground(machine)


def counted(machine: Machine, *command: str) -> dict[str, object]:
    """What `load_client.py` counted around `command`."""
    done = machine.run(f"{PYTHON} /root/load_client.py {' '.join(command)}", timeout_s=120)
    found: dict[str, object] = json.loads(done.check())
    return found
