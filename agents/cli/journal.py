"""The log as systemd's journal keeps it: each line of JSON with fields of its own, by which it can be found again.

    journalctl AGENT=greeter TASK_ID=…        journalctl -u agent@greeter -p warning        journalctl TRACE_ID=…

Only where standard output leads to the journal. What its socket does not take (it is not there, the line is too long,
journald does not keep up) goes to standard output with its priority in front, which journald reads there. Journald
drops lines under load: what must not be lost is on the audit trail.

Source: systemd's Native Journal Protocol; sd-daemon(3) for the prefix; systemd.exec(5), $JOURNAL_STREAM.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from agents.cli.log_lines import Lines

SOCKET: Final = "/run/systemd/journal/socket"
_PRIORITIES: Final = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
_FIELDS: Final = {"event": "AGENTBUS_EVENT", "task": "TASK_ID", "trace_id": "TRACE_ID"}
"""By the key in a line of the log; AGENT comes from the unit's name, which no line can say otherwise."""
_AGENT_UNIT: Final = re.compile(r"agent(?:-\d)?@(.+)")
_CGROUPS: Final = Path("/proc/self/cgroup")


def leads_to_journal(environment: Mapping[str, str] | None = None) -> bool:
    """Whether what is printed is journald's: the variable names the very pipe, so a redirected process is none."""
    env = os.environ if environment is None else environment
    try:
        found = os.fstat(1)
    except OSError:
        return False
    return env.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def render(_logger: object, method: str, line: Mapping[str, Any]) -> tuple[tuple[str], dict[str, Any]]:
    """The last of structlog's processors: the line as JSON, and what is known of it for `Journal`."""
    fields = {field: str(line[key]) for key, field in _FIELDS.items() if line.get(key)}
    priority = _PRIORITIES.get(str(line.get("level", method)), 6)
    return (json.dumps(line, default=repr),), {"fields": fields, "priority": priority}


class Journal(Lines):
    """Where the lines go; one for all loggers of a process."""

    def __init__(self, address: str = SOCKET) -> None:
        super().__init__()
        self._known = _known_of(unit_of(_CGROUPS))
        self._socket: socket.socket | None = None
        with contextlib.suppress(OSError):
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)  # a journal that does not keep up must not hold the event loop
            self._socket.connect(address)

    def msg(self, message: str, *, fields: Mapping[str, str] | None = None, priority: int = 6) -> None:
        """Hand over one line. Never raises for the journal's sake."""
        known = {"MESSAGE": message, "PRIORITY": str(priority), **(fields or {}), **self._known}
        entry = "".join(f"{name}={_one_line(value)}\n" for name, value in known.items())
        try:
            if self._socket is None:
                raise OSError("there is none")
            self._socket.send(entry.encode())
        except OSError:
            super().msg(f"<{priority}>{message}")

    def close(self) -> None:
        """From here on lines are printed."""
        if self._socket is not None:
            self._socket.close()

    log = debug = info = warn = warning = msg
    fatal = failure = err = error = critical = exception = msg


def _one_line(value: str) -> str:
    """A line break would begin a field of its own."""
    return value.replace("\n", " ")


def unit_of(cgroups: Path) -> str:
    """The unit of a process, without its ending; empty outside a unit."""
    with contextlib.suppress(OSError):
        for entry in cgroups.read_text().splitlines():
            name = entry.rpartition("/")[2]
            if name.endswith(".service"):
                return name.removesuffix(".service")
    return ""


def _known_of(unit: str) -> dict[str, str]:
    """What every line of the process has: what `SyslogIdentifier=%N` gives those that are printed, and the agent."""
    agent = _AGENT_UNIT.fullmatch(unit)
    return {"SYSLOG_IDENTIFIER": unit or "agentbus", **({"AGENT": agent[1]} if agent else {})}
