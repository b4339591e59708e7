"""What the booted system's own service manager makes of what the page put there."""

from __future__ import annotations

from collections.abc import Callable

_READY = "agent@greeter agentbus-approvals agentbus-applier agentbus-sealer agentbus-witness@witness-a"
_NEWER = 254
_SAYS = {False: ["Type=notify"], True: ["RestartSteps=6", "Type=notify-reload"]}
"""Of units that say when they are ready, by whether the manager understands the drop-in of 254."""


def verified(run: Callable[[str], str]) -> str:
    """It has nothing to say about any unit."""
    units = "/etc/systemd/system/agent*.* /etc/systemd/system/nats-server.service"
    said = run(f"for unit in {units}; do [ -f $unit ] && systemd-analyze verify --man=no $unit 2>&1; done; true")
    assert said == "", said
    return "systemd-analyze verify says nothing"


def reloaded(run: Callable[[str], str]) -> str:
    """Each unit is of the type that this manager understands; where it waits for a reload, the unit has looked then."""
    version = int(run("systemctl --version").split()[1])
    is_newer = version >= _NEWER
    for unit in _READY.split():
        shown = sorted(run(f"systemctl show {unit} --property=Type{',RestartSteps' if is_newer else ''}").split())
        assert shown == _SAYS[is_newer], (unit, shown)
    if not is_newer:
        return f"systemd {version}: the drop-in of {_NEWER} is not there"
    for unit in _READY.split():
        told = run(f"systemctl reload {unit} && systemctl show -P StatusText {unit}")
        assert "; " in told, (unit, told)
    return f"systemd {version}: the drop-in of {_NEWER} is in force; systemctl reload returns when each unit has looked"


CHECKS = (verified, reloaded)
