"""The one seam over nats-py: a connection with this product's profile.

What nats-py does that is worked around here:
- payload and headers over `max_payload` close the client for good: sizes are checked before sending;
- a publish during an outage is accepted and may be lost: `publish` refuses while disconnected;
- permission violations arrive only in `error_cb`: they are counted and handed to `on_violation`;
- requests time out after 0.5 s and reconnecting stops after 60 tries unless told otherwise.

Source: nats-py 2.16; NATS client protocol.
"""

from __future__ import annotations

import contextlib
import random
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import nats.errors
import structlog
from nats.aio.client import Client, Srv
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from bus import headers as strict_headers
from bus.credentials import Credential
from bus.errors import ConnectionRefused
from schemas.errors import DeadlineExceeded, PayloadTooLarge, Unavailable

__all__ = ["Connection", "Msg", "Profile", "Subscription"]

_log = structlog.get_logger("bus")
_NO_RESPONDERS = "503"
_REFUSED_PUBLISH = re.compile(r'permissions violation for publish to "([^"]+)"', re.IGNORECASE)

Handler = Callable[[Msg], Awaitable[None]]
Notice = Callable[[str], None]


def _ignore(_: str) -> None:
    """Nobody asked to be told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How to connect. `wait_for_server`: keep trying for ever (a service), or fail at once (a command)."""

    url: str
    credential: Credential
    name: str
    inbox_prefix: str
    wait_for_server: bool = True
    pending_bytes: int = 8 * 1024 * 1024
    ping_interval_s: float = 20
    """A peer that is silent over `max_outstanding_pings` of these, 2, is dead."""
    on_violation: Notice = field(default=_ignore)
    on_disconnected: Notice = field(default=_ignore)
    on_reconnected: Notice = field(default=_ignore)
    on_closed: Notice = field(default=_ignore)


class _StrictClient(Client):
    """nats-py with headers read strictly; its own reader loses the connection over bytes that it does not expect."""

    async def _process_headers(self, headers: bytes | None) -> dict[str, str] | None:
        return (strict_headers.parse_block(bytes(headers)) or None) if headers else None

    async def _send_publish(
        self, subject: str, reply: str, payload: bytes, payload_size: int, headers: bytes | dict[str, str] | None
    ) -> None:
        # `Connection` hands headers over as the block that it measured; nats-py's own way of building one
        # is a third of the cost of a request.
        if not isinstance(headers, bytes):
            await super()._send_publish(subject, reply, payload, payload_size, headers)
            return
        self.stats["out_msgs"] += 1
        self.stats["out_bytes"] += payload_size
        await self.send_commands(_hpub(subject, reply, headers, payload))

    async def send_commands(self, commands: bytes) -> None:
        """Put whole protocol lines into the buffer of what is to be sent, and have it sent."""
        await self._send_command(commands)
        if self._flush_queue is not None and self._flush_queue.empty():
            await self._flush_pending()


def _hpub(subject: str, reply: str, headers: bytes, payload: bytes) -> bytes:
    size = len(headers)
    line = f"HPUB {subject} {reply} {size} {size + len(payload)}\r\n".encode()
    return b"".join((line, headers, payload, b"\r\n"))


class Connection:
    """A connection to one server or cluster with one identity. Make it with `Connection.open`."""

    def __init__(self, client: _StrictClient, profile: Profile) -> None:
        self._client = client
        self.profile = profile
        self.errors: dict[str, int] = {}
        """How often each kind of asynchronous error was reported, by class name."""
        self.refusals: list[Notice] = []
        """Called with the subject of each publish that the server refused."""

    @classmethod
    async def open(cls, profile: Profile) -> Connection:
        """Connect.

        Raises:
            ConnectionRefused: not `wait_for_server`, and the server is away or refuses the key.
        """
        client = _StrictClient()
        connection = cls(client, profile)
        try:
            await client.connect(**connection._options())
        except (OSError, nats.errors.Error, TimeoutError) as error:
            await connection.close()  # nats-py leaves the socket of a refused connection open
            reason = str(error) or type(error).__name__
            raise ConnectionRefused(
                f"cannot connect to {profile.url} as {profile.name}: {reason}; "
                "is the server up, and is this key in its configuration?"
            ) from None
        return connection

    def _options(self) -> dict[str, Any]:
        profile = self.profile
        patient = profile.wait_for_server

        async def on_disconnected() -> None:
            profile.on_disconnected(profile.name)

        async def on_reconnected() -> None:
            profile.on_reconnected(profile.name)

        async def on_closed() -> None:
            profile.on_closed(profile.name)

        return {
            "servers": profile.url.split(","),
            "name": profile.name,
            "nkeys_seed": str(profile.credential.path),
            "inbox_prefix": profile.inbox_prefix,
            "allow_reconnect": patient,
            "max_reconnect_attempts": -1 if patient else 1,
            "reconnect_to_server_handler": _next_server,
            "connect_timeout": 5,
            "ping_interval": profile.ping_interval_s,
            "max_outstanding_pings": 2,
            "flush_timeout": 10,
            "pending_size": profile.pending_bytes,
            "error_cb": self._on_error,
            "disconnected_cb": on_disconnected,
            "reconnected_cb": on_reconnected,
            "closed_cb": on_closed,
        }

    async def _on_error(self, error: Exception) -> None:
        kind = type(error).__name__
        self.errors[kind] = self.errors.get(kind, 0) + 1
        text = str(error)
        if "permissions violation" in text.lower():
            self.profile.on_violation(text)
            for subject in _REFUSED_PUBLISH.findall(text):
                for tell in self.refusals:
                    tell(subject)
        _log.debug("bus.error_reported", kind=kind, error=text, connection=self.profile.name)

    @property
    def is_connected(self) -> bool:
        """Whether a server is on the other end now."""
        return self._client.is_connected

    @property
    def reconnects(self) -> int:
        """How often the connection was made anew; what was asked before the last time is not answered."""
        return int(self._client.stats["reconnects"])

    @property
    def max_payload_bytes(self) -> int:
        """The server's limit for headers and payload together."""
        return self._client.max_payload

    async def publish(
        self, subject: str, payload: bytes = b"", *, reply: str = "", headers: dict[str, str] | None = None
    ) -> None:
        """Hand a message to the client; that it arrives is *not* guaranteed.

        Raises:
            PayloadTooLarge: over the server's limit, headers included.
            Unavailable: there is no server now; the message was not accepted.
        """
        block = self._checked(payload, headers)
        try:
            await self._client.publish(subject, payload, reply=reply, headers=block)
        except nats.errors.Error as error:
            raise Unavailable(f"cannot publish: {error}") from None

    async def publish_all(self, messages: Iterable[tuple[str, bytes, dict[str, str]]]) -> None:
        """`publish` for many (subject, payload, headers) at once, in order: one write instead of many.

        Subjects must be of `schemas.subjects`; they are not looked at again. Raises as `publish`; then none was sent.
        """
        commands = [
            _hpub(subject, "", self._checked(payload, headers), payload) for subject, payload, headers in messages
        ]
        try:
            await self._client.send_commands(b"".join(commands))
        except nats.errors.Error as error:
            raise Unavailable(f"cannot publish: {error}") from None

    async def request(
        self, subject: str, payload: bytes = b"", *, timeout_s: float, headers: dict[str, str] | None = None
    ) -> Msg:
        """Ask on an inbox of this connection (JetStream, approvals); A2A requests go through `bus.client`.

        Raises:
            PayloadTooLarge, Unavailable: as `publish`; also when nobody listens on the subject.
            DeadlineExceeded: no answer in time; whether the other side acted is unknown.
        """
        block = self._checked(payload, headers)
        try:
            return await self._client.request(subject, payload, timeout=timeout_s, headers=block)
        except nats.errors.NoRespondersError:
            raise Unavailable(f"nobody answers on {subject}") from None
        except nats.errors.TimeoutError:
            raise DeadlineExceeded(f"no answer on {subject} within {timeout_s:g} s") from None
        except nats.errors.Error as error:
            raise Unavailable(f"cannot ask on {subject}: {error}") from None

    async def subscribe(self, subject: str, handler: Handler, *, queue: str = "") -> Subscription:
        """Call `handler` for each message, one after the other; it must not block and must not raise."""
        return await self._client.subscribe(subject, queue=queue, cb=handler)

    async def forget(self, subscription: Subscription) -> None:
        """End a subscription now; what is still queued in it is dropped. Safe while disconnected."""
        with contextlib.suppress(nats.errors.Error):
            await subscription.unsubscribe()

    async def drain(self, subscription: Subscription) -> None:
        """End a subscription after its queued messages were handled; the rest of the connection stays open."""
        with contextlib.suppress(nats.errors.Error):
            await subscription.drain()  # type: ignore[no-untyped-call]  # nats-py leaves it untyped

    def unique(self) -> str:
        """A token that no other call on any connection gets."""
        return self._client._nuid.next().decode()  # noqa: SLF001  the client's own generator, made for inboxes

    async def flush(self, timeout_s: float = 10) -> None:
        """Wait until the server has processed everything published so far.

        Raises:
            DeadlineExceeded: it did not say so in time.
        """
        try:
            await self._client.flush(timeout=int(timeout_s) or 1)
        except nats.errors.Error as error:
            raise DeadlineExceeded(f"flush failed: {error or type(error).__name__}") from None

    async def close(self) -> None:
        """Close for good. Unsent messages are not waited for: `flush` first."""
        self._client._closed_cb = None  # noqa: SLF001  closing on purpose is not the news `on_closed` is for
        await self._client.close()

    def _checked(self, payload: bytes, headers: dict[str, str] | None) -> Any:
        """The header block to send, after checking that the whole fits."""
        if not self._client.is_connected:
            raise Unavailable("not connected to the server; it is being tried again")
        block = strict_headers.encode(headers) if headers else None
        size = len(payload) + len(block or b"")
        if size > self._client.max_payload:
            raise PayloadTooLarge(f"{size} bytes are over the server's limit of {self._client.max_payload}")
        return block


def is_no_responders(message: Msg) -> bool:
    """The server's own notice that nobody listens where this message was sent."""
    return not message.data and bool(message.headers) and message.headers.get("Status") == _NO_RESPONDERS  # type: ignore[union-attr]


def _next_server(servers: list[Any], _info: dict[str, Any]) -> tuple[Srv | None, float]:
    """The least tried server, after a jittered delay that grows to 2 s."""
    server = min(servers, key=lambda candidate: candidate.reconnects)
    delay_s = min(2.0, 0.05 * 2 ** min(server.reconnects, 6)) * random.uniform(0.5, 1.0)  # noqa: S311  jitter, not a secret
    return server, delay_s
