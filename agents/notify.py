"""Telling systemd how this process is: ready, what it does now, alive, stopping.

One datagram of `NAME=value` lines to the socket that `$NOTIFY_SOCKET` names. Where the variable is not
set (a shell, the local supervisor) every call does nothing. That systemd read the datagram is *not*
guaranteed, only that the kernel took it; nothing here ever raises because of the other side.

The watchdog is fed by `Notifier.feed_watchdog`, a coroutine of the loop that does the work: a loop
that is blocked stops feeding and is killed. Never feed it from a thread.

Source: sd_notify(3), sd_watchdog_enabled(3), systemd.service(5) WatchdogSec=.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

SOCKET: Final = "NOTIFY_SOCKET"
WATCHDOG_USEC: Final = "WATCHDOG_USEC"
WATCHDOG_PID: Final = "WATCHDOG_PID"
_SEND_TIMEOUT_S: Final = 1.0
_US: Final = 1_000_000
_LONGEST_STATUS: Final = 500


@dataclass(frozen=True, slots=True)
class Notifier:
    """The way to the service manager, if there is one.

    Every call returns whether the kernel took the datagram; `False` is the normal answer where no
    service manager listens, so callers need not look at it.
    """

    address: str = ""
    """A socket's path, or `@name` in the abstract namespace; empty when nobody listens."""
    watchdog_s: float | None = None
    """The manager kills this process when it hears nothing for so long; `None`: it does not watch."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Notifier:
        """What the service manager told this process. Values that make no sense count as unset."""
        env = os.environ if environment is None else environment
        address = env.get(SOCKET, "")
        return cls(address if address.startswith(("/", "@")) else "", _watchdog_s(env))

    def ready(self, status: str = "") -> bool:
        """The process serves from now on: units ordered after it may start."""
        return self._send({"READY": "1", "STATUS": _one_line(status)} if status else {"READY": "1"})

    def reloading(self) -> bool:
        """The process was asked to look at its files again; `ready` is the end of it. Source: Type=notify-reload."""
        return self._send({"RELOADING": "1", "MONOTONIC_USEC": str(time.monotonic_ns() // 1000)})

    def status(self, text: str) -> bool:
        """The line that `systemctl status` shows."""
        return self._send({"STATUS": _one_line(text)})

    def stopping(self, status: str = "") -> bool:
        """The process is on its way out: it drains, and takes nothing new."""
        return self._send({"STOPPING": "1", "STATUS": _one_line(status)} if status else {"STOPPING": "1"})

    def extend_timeout(self, seconds: float) -> bool:
        """Ask for at least `seconds` more to start or stop, counted from now. Repeat before they are over."""
        return self._send({"EXTEND_TIMEOUT_USEC": str(max(1, int(seconds * _US)))})

    def watchdog(self) -> bool:
        """One sign of life."""
        return self._send({"WATCHDOG": "1"})

    async def feed_watchdog(self) -> None:
        """Give signs of life, twice per interval, until cancelled. Returns at once when nobody watches."""
        if not self.address or self.watchdog_s is None:
            return
        while True:
            self.watchdog()
            await asyncio.sleep(self.watchdog_s / 2)

    def _send(self, values: Mapping[str, str]) -> bool:
        if not self.address:
            return False
        message = "".join(f"{name}={value}\n" for name, value in values.items()).encode()
        name = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
                # a manager that does not read must not hold the event loop for longer than this
                channel.settimeout(_SEND_TIMEOUT_S)
                channel.sendto(message, name)
        except OSError:
            return False
        return True


def _watchdog_s(env: Mapping[str, str]) -> float | None:
    """The interval in seconds. `$WATCHDOG_PID` names its addressee: a child that inherits it is not meant."""
    if env.get(WATCHDOG_PID, str(os.getpid())) != str(os.getpid()):
        return None
    text = env.get(WATCHDOG_USEC, "")
    interval_us = int(text) if text.isascii() and text.isdigit() else 0
    return interval_us / _US if interval_us > 0 else None


def _one_line(text: str) -> str:
    """`text` in one printable line: a line break would begin an assignment of its own, such as MAINPID=."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:_LONGEST_STATUS]
