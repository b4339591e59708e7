"""`agentbus doctor` on a real system: nothing wrong on a sound one, and each fault of a unit is named."""

from __future__ import annotations

import json
from typing import NamedTuple

from tests.harness import network
from tests.units.ground import HOME, Ground


class Fault(NamedTuple):
    """What is broken and mended with commands, and which check of the doctor has to say so, with which words."""

    plant: str
    mend: str
    check: str
    says: str


_DROP_IN = "/etc/systemd/system/agent@greeter.service.d/90-open.conf"
FAULTS = (
    Fault(
        f"printf '[Service]\\nNoNewPrivileges=no\\nProtectHome=no\\n' >{_DROP_IN}; systemctl daemon-reload",
        f"rm {_DROP_IN}; systemctl daemon-reload",
        "sandbox", "agent@greeter.service has ProtectHome=no",
    ),
    Fault(
        f"printf '[Service]\\nUser=root\\n' >{_DROP_IN}; systemctl daemon-reload",
        f"rm {_DROP_IN}; systemctl daemon-reload",
        "installed", "agent@greeter.service runs as root",
    ),
    Fault(
        "systemctl disable agentbus-sealer", "systemctl enable agentbus-sealer",
        "installed", "agentbus-sealer.service does not start at boot",
    ),
    Fault(
        f"printf '[Service]\\nNice=1\\n' >{_DROP_IN}", f"rm {_DROP_IN}; systemctl daemon-reload",
        "installed", "agent@greeter.service was changed on disk and not read",
    ),
    Fault(
        "systemctl stop agentbus-witness@witness-b", "systemctl start agentbus-witness@witness-b",
        "running", "witness-b is inactive",
    ),
    Fault("systemctl stop agentbus-check.socket", "systemctl start agentbus-check.socket", "sockets", "agentbus-check.socket"),
    Fault(f"chmod 644 {HOME}/credentials/ops/bus.nk", f"chmod 600 {HOME}/credentials/ops/bus.nk", "provisioned", "bus.nk has mode 644"),
    Fault(
        f"chown nobody {HOME}/credentials/ops/own.nk", f"chown root {HOME}/credentials/ops/own.nk",
        "provisioned", "own.nk belongs to user",
    ),
)  # fmt: skip
_OF_THE_FILTER = (
    Fault(f"mv {network.NFT} /root/nft", f"mv /root/nft {network.NFT}", "attempts", f"there is no {network.NFT}"),
    Fault("systemctl stop agentbus-packet-filter", "systemctl start agentbus-packet-filter", "attempts", "is not loaded"),
    Fault("nft flush chain inet agentbus local", "systemctl reload agentbus-packet-filter", "attempts", "is not what"),
)  # fmt: skip
_OF_THIS_MACHINE = {"cgroups", "clock", *(["attempts"] if network.obstacle() else [])}
"""Checks that tell of the host that boots the guest."""


def _found(ground: Ground) -> dict[str, list[str]]:
    """What is not well, by check."""
    said = ground.machine.run(f"agentbus doctor --home {HOME} --json", timeout_s=60)
    found: dict[str, list[str]] = {}
    for each in json.loads(said.out)["findings"]:
        if each["level"] != "ok" and each["check"] not in _OF_THIS_MACHINE:
            found.setdefault(each["check"], []).append(each["says"])
    return found


def the_doctor_finds_nothing_wrong(ground: Ground) -> str:
    """Of the whole fleet as it was installed."""
    ground.machine.run("systemctl start agentbus.target", timeout_s=90).check()
    sealed = f"for try in $(seq 600); do [ -e {HOME}/state/sealer/checkpoint ] && exit; sleep 0.1; done; exit 1"
    ground.machine.run(sealed, timeout_s=70).check()
    found = _found(ground)
    assert found == {}, found
    return "every check is well"


def the_doctor_names_each_fault(ground: Ground) -> str:
    """And what else is well stays so."""
    faults = (*FAULTS, *(() if network.obstacle() else _OF_THE_FILTER))
    for fault in faults:
        ground.machine.run(fault.plant).check()
        try:
            found = _found(ground)
        finally:
            ground.machine.run(fault.mend, timeout_s=60).check()
        assert any(fault.says in says for says in found.get(fault.check, [])), (fault, found)
    return f"{len(faults)} of {len(faults)} faults named"
