"""Where an installation has what. All paths are absolute ones of the machine that it is for."""

from __future__ import annotations

OPT = "/opt/agentbus"
RELEASES = f"{OPT}/releases"
CURRENT = f"{OPT}/current"
RECORD = f"{OPT}/installed.json"
LAUNCHER = "/usr/local/bin/agentbus"
STATE, CONFIGURATION = "/var/lib/agentbus", "/etc/agentbus"
SYSUSERS = "/etc/sysusers.d"
UNITS = "/etc/systemd/system"

OUTSIDE = {
    "*.service": UNITS,
    "*.socket": UNITS,
    "*.target": UNITS,
    "*.slice": UNITS,
    "sysusers.d/*.conf": SYSUSERS,
    "tmpfiles.d/*.conf": "/etc/tmpfiles.d",
    "polkit-1/rules.d/*.rules": "/etc/polkit-1/rules.d",
}
"""What of the folder systemd/ goes where, on a machine whose administrator installs it. Drop-ins go below the first."""

PACKAGED = {pattern: folder.replace("/etc/", "/usr/lib/", 1) for pattern, folder in OUTSIDE.items()} | {
    "polkit-1/rules.d/*.rules": "/usr/share/polkit-1/rules.d"
}
"""The same in a package: the folders that the administrator's files in /etc are stronger than."""
PACKAGED_LAUNCHER = "/usr/bin/agentbus"

LAUNCHER_TEXT = f"""\
#!/bin/sh
# Written by agentbus install. The fleet of this machine, unless --home or AGENTBUS_HOME names another one.
AGENTBUS_HOME="${{AGENTBUS_HOME:-{STATE}}}"
export AGENTBUS_HOME
exec {CURRENT}/bin/agentbus "$@"
"""

PROGRAM_TEXT = """\
#!{release}/bin/python -sP
import sys

from agents.cli.app import main

sys.exit(main())
"""
"""The console script: `-s -P` keep a user's own packages and the current folder out of the program."""

OWN_FOLDERS = (OPT, "/etc/polkit-1/rules.d", "/etc/polkit-1")
"""Folders that installing may have made; removing them is tried when they are empty."""
