"""What a process must notice from outside itself: told to stop, connection closed for good, slot lost."""

from __future__ import annotations

import asyncio
import signal

import structlog

from bus.audit.emit import Audit
from bus.errors import AuditUnavailable

_log = structlog.get_logger("process")


class Signs:
    """One per process. `wait` returns when the process should end; `failure` says why, empty when it was told to."""

    def __init__(self) -> None:
        self._over = asyncio.Event()
        self.asked_again = asyncio.Event()
        """Set when the process should look at its files again."""
        self.failure = ""
        self.audit: Audit | None = None
        """Where connection news go once the trail is open."""
        self.is_closing = False
        """Connections that this process closes itself are no news."""

    def listen(self) -> None:
        """SIGTERM and SIGINT mean: drain and end. SIGHUP means: look again; unheard, it would end the process."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._over.set)
        loop.add_signal_handler(signal.SIGHUP, self.asked_again.set)

    async def wait(self) -> None:
        """Until it is time to end."""
        await self._over.wait()

    def fail(self, reason: str) -> None:
        """End, and let the service manager start a new process."""
        self.failure = self.failure or reason
        self._over.set()

    def on_closed(self, reason: str) -> None:
        """A connection is over for good (its key was refused too often): this process cannot recover it."""
        self.fail(reason)

    def on_stopped(self, error: Exception) -> None:
        """Nothing can be written to the trail any more: another process has the slot, or the disk failed."""
        self.fail(str(error))

    def on_violation(self, text: str) -> None:
        """The server refused something: an honest process never has that."""
        _log.error("bus.violated", text=text)
        self._tell("bus.violated", text)

    def on_disconnected(self, connection: str) -> None:
        """The server is away; it is being tried again."""
        if self.is_closing:
            return
        _log.warning("bus.disconnected", connection=connection)
        self._tell("bus.disconnected", connection)

    def on_reconnected(self, connection: str) -> None:
        """The server is back."""
        _log.info("bus.reconnected", connection=connection)
        self._tell("bus.reconnected", connection)

    def _tell(self, kind: str, text: str) -> None:
        if self.audit is None:
            return
        try:
            self.audit.emit(
                kind, action="connection", outcome="failure" if "violated" in kind else "success", reason=text
            )
        except AuditUnavailable as error:
            _log.error("process.not_audited", kind=kind, reason=str(error))
