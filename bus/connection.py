"""The one seam over nats-py: a connection with this product's profile; `bus.wire` has what is below it.

What nats-py does that is worked around here:
- payload and headers over `max_payload` close the client for good: sizes are checked before sending;
- a publish during an outage is accepted and may be lost: `publish` refuses while disconnected;
- permission violations arrive only in `error_cb`: they are counted and handed to `on_violation`;
- requests time out after 0.5 s and reconnecting stops after 60 tries unless told otherwise; told so, it goes on for
  ever where the server does not take the key: refusals are counted, and too many end it (`bus.refusals`).

Source: nats-py 2.16; NATS client protocol.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import nats.errors
import structlog
from nats.aio.client import Srv
from nats.aio.subscription import Subscription

from bus import headers as strict_headers
from bus.address import read_address
from bus.credentials import Credential
from bus.errors import ConnectionRefused
from bus.headers import Block
from bus.refusals import Patience, Refusals, is_refusal
from bus.wire import Handler, Msg, WireClient, hpub, pub
from schemas.errors import (
    DeadlineExceeded,
    InvalidDocument,
    InvalidSubject,
    PayloadTooLarge,
    PermissionDenied,
    Unavailable,
)

__all__ = ["Connection", "Handler", "Headers", "Msg", "Profile", "Subscription", "servers_at"]

_log = structlog.get_logger("bus")
_NO_RESPONDERS = "503"
_REFUSED_PUBLISH = re.compile(r'permissions violation for publish to "([^"]+)"', re.IGNORECASE)

Headers = dict[str, str] | Block
Notice = Callable[[str], None]


def _ignore(_: str) -> None:
    """Nobody asked to be told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How to connect. `wait_for_server`: keep trying for ever (a service), or fail at once (a command).

    A service too ends when the server is there and does not take its key, over and over: `refused`.
    """

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
    """Told in one sentence why the connection is over for good."""
    refused: Patience = field(default=Patience())


class Connection:
    """A connection to one server or cluster with one identity. Make it with `Connection.open`."""

    def __init__(self, client: WireClient, profile: Profile) -> None:
        self._client = client
        self.profile = profile
        self.errors: dict[str, int] = {}
        """How often each kind of asynchronous error was reported, by class name."""
        self._logins_refused = Refusals(profile.refused)
        self._is_open = False
        self._end = ""
        """Why we gave up, empty when it was the client or the server who ended it."""
        self._closing: asyncio.Task[None] | None = None
        self.refusals: list[Notice] = []
        """Called with the subject of each publish that the server refused."""
        self.losses: set[Callable[[], None]] = set()
        """Called when the server is gone: what it was asked to send later it has forgotten."""
        self._inbox = f"{profile.inbox_prefix}.{self.unique()}"
        self._is_listening = False
        self._waiting: dict[str, tuple[asyncio.Future[Msg], str]] = {}
        """Reply subject to who waits there, and where it asked."""
        self._numbers = itertools.count()

    @classmethod
    async def open(cls, profile: Profile) -> Connection:
        """Connect.

        Raises:
            ConnectionRefused: not `wait_for_server`, and the server is away or refuses the key; or it went on
                refusing the key (`Profile.refused`).
        """
        client = WireClient()
        connection = cls(client, profile)
        try:
            await client.connect(**connection._options())
        except ConnectionRefused:
            await connection.close()
            raise
        except (OSError, nats.errors.Error, TimeoutError) as error:
            await connection.close()  # nats-py leaves the socket of a refused connection open
            reason = str(error) or type(error).__name__
            raise ConnectionRefused(
                f"cannot connect to {profile.url} as {profile.name}: {reason}; "
                "is the server up, and is this key in its configuration?"
            ) from None
        connection._logins_refused.forget()
        connection._is_open = True
        return connection

    def _options(self) -> dict[str, Any]:
        profile = self.profile
        patient = profile.wait_for_server

        async def on_disconnected() -> None:
            for tell in tuple(self.losses):
                tell()
            profile.on_disconnected(profile.name)

        async def on_reconnected() -> None:
            self._logins_refused.forget()
            profile.on_reconnected(profile.name)

        async def on_closed() -> None:
            profile.on_closed(self._end or f"the connection {profile.name} was closed by the server")

        return {
            **servers_at(profile.url),
            "name": profile.name,
            "nkeys_seed": str(profile.credential.path),
            "inbox_prefix": profile.inbox_prefix,
            "allow_reconnect": patient,
            "max_reconnect_attempts": -1 if patient else 1,
            "reconnect_to_server_handler": self._next_server,
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

    def _next_server(self, servers: list[Any], info: dict[str, Any]) -> tuple[Srv | None, float]:
        """Whom to try next; whose word is believed there is read anew, since authorities are replaced."""
        with contextlib.suppress(InvalidDocument):  # what was believed before still is
            if context := read_address(self.profile.url).context():
                self._client.options["tls"] = context
        return _next_server(servers, info)

    async def _on_error(self, error: Exception) -> None:
        kind = type(error).__name__
        self.errors[kind] = self.errors.get(kind, 0) + 1
        text = str(error)
        if "permissions violation" in text.lower():
            self.profile.on_violation(text)
            for subject in _REFUSED_PUBLISH.findall(text):
                self._on_refused(subject)
        _log.debug("bus.error_reported", kind=kind, error=text, connection=self.profile.name)
        if is_refusal(error):
            self._on_login_refused()

    def _on_login_refused(self) -> None:
        """Count it; the last one ends the connection, or its opening.

        Raises:
            ConnectionRefused: it never was open; nats-py hands this on to who opens it.
        """
        refused, profile = self._logins_refused, self.profile
        refused.add()
        if refused.count == 1 and profile.wait_for_server:
            _log.warning(
                "bus.refused", connection=profile.name, advice="the server does not take this key; tried again"
            )
        if not refused.are_for_good or self._end:
            return
        self._end = (
            f"{profile.url} refused the key of {profile.name} {refused.count} times: it is not in the server's "
            "configuration; run `agentbus provision`, or stop this process for good"
        )
        if not self._is_open:
            raise ConnectionRefused(self._end)
        self._client.drop_unsent()
        self._closing = asyncio.create_task(self._client.close())

    @property
    def is_connected(self) -> bool:
        """Whether a server is on the other end now."""
        return self._client.is_connected

    @property
    def reconnects(self) -> int:
        """How often the connection was made anew; what was asked before the last time is not answered."""
        return int(self._client.stats["reconnects"])

    @property
    def greeting(self) -> Mapping[str, Any]:
        """What the server said of itself when it was connected to last: `version`, `auth_required`, …

        Source: NATS client protocol, INFO.
        """
        return self._client._server_info  # noqa: SLF001  nats-py has no other way to it

    @property
    def max_payload_bytes(self) -> int:
        """The server's limit for headers and payload together."""
        return self._client.max_payload

    async def publish(
        self, subject: str, payload: bytes = b"", *, reply: str = "", headers: Headers | None = None
    ) -> None:
        """Hand a message to the client; that it arrives is *not* guaranteed.

        Raises:
            PayloadTooLarge: over the server's limit, headers included.
            Unavailable: there is no server now; the message was not accepted.
        """
        if self.enqueue(subject, payload, reply=reply, headers=headers):
            await self.relieve()

    def enqueue(self, subject: str, payload: bytes, *, reply: str = "", headers: Headers | None = None) -> bool:
        """`publish` without waiting, ever; raises as it. True when so much is unsent that one should `relieve` it."""
        block = self._checked(payload, headers)
        _require_plain(subject, reply)
        return self._client.send(hpub(subject, reply, block, payload) if block else pub(subject, reply, payload))

    async def relieve(self) -> None:
        """Wait while far too much is unsent.

        Raises:
            Unavailable: it cannot be sent.
        """
        try:
            await self._client.relieve()
        except nats.errors.Error as error:
            raise Unavailable(f"cannot publish: {error}") from None

    async def publish_all(self, messages: Iterable[tuple[str, bytes, Headers]]) -> None:
        """`publish` for many (subject, payload, headers) at once, in order: one write instead of many.

        Subjects must be of `schemas.subjects`; they are not looked at again. Raises as `publish`; then none was sent.
        """
        commands = [
            hpub(subject, "", self._checked(payload, headers), payload) for subject, payload, headers in messages
        ]
        if self._client.send(b"".join(commands)):
            await self.relieve()

    async def request(
        self, subject: str, payload: bytes = b"", *, timeout_s: float, headers: Headers | None = None
    ) -> Msg:
        """Ask on an inbox of this connection (JetStream, approvals); A2A requests go through `bus.requests.caller`.

        Raises:
            PayloadTooLarge, Unavailable: as `publish`; also when nobody listens on the subject.
            PermissionDenied: the server does not let this identity publish there.
            DeadlineExceeded: no answer in time; whether the other side acted is unknown.
        """
        block = self._checked(payload, headers)
        if not self._is_listening:
            self._is_listening = True
            await self.subscribe(f"{self._inbox}.*", self._on_answer)
        reply = f"{self._inbox}.{next(self._numbers)}"
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[Msg] = loop.create_future()
        self._waiting[reply] = (waiting, subject)
        timer = loop.call_later(timeout_s, _give_up, waiting, subject, timeout_s)
        try:
            await self.publish(subject, payload, reply=reply, headers=block)
            answer = await waiting
        finally:
            timer.cancel()
            del self._waiting[reply]
        if is_no_responders(answer):
            raise Unavailable(f"nobody answers on {subject}")
        return answer

    async def subscribe(self, subject: str, handler: Handler, *, queue: str = "") -> Subscription:
        """Call `handler` for each message, one after the other; it must return at once and must not raise."""
        return await self._client.listen(subject, handler, queue)

    def after_read(self, work: Callable[[], None]) -> None:
        """For a handler: have `work` called once everything of this read of the socket was handed to its handlers."""
        self._client.after_read.append(work)

    async def forget(self, subscription: Subscription) -> None:
        """End a subscription now. Safe while disconnected."""
        self._client.forget(subscription)
        with contextlib.suppress(nats.errors.Error):
            await subscription.unsubscribe()

    async def drain(self, subscription: Subscription, timeout_s: float = 5) -> None:
        """End a subscription after what was on its way was handled, or the time is over; the connection stays open."""
        with contextlib.suppress(nats.errors.Error, TimeoutError):
            async with asyncio.timeout(timeout_s):
                await subscription.drain()  # type: ignore[no-untyped-call]  # nats-py leaves it untyped
        self._client.forget(subscription)

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
        if not self._client.is_connected:
            self._client.drop_unsent()
        await self._client.close()

    def _checked(self, payload: bytes, headers: Headers | None) -> Block:
        """The header block to send, after checking that the whole fits."""
        if not self._client.is_connected:
            raise Unavailable("not connected to the server; it is being tried again")
        block = headers if isinstance(headers, Block) else strict_headers.encode(headers or {})
        size = len(payload) + len(block)
        if size > self._client.max_payload:
            raise PayloadTooLarge(f"{size} bytes are over the server's limit of {self._client.max_payload}")
        return block

    def _on_answer(self, message: Msg) -> None:
        waiting, _ = self._waiting.get(message.subject, (None, ""))
        if waiting is not None and not waiting.done():
            waiting.set_result(message)

    def _on_refused(self, subject: str) -> None:
        """The server refused a publish on `subject`: whoever waits for its answer learns it now."""
        for tell in self.refusals:
            tell(subject)
        for waiting, asked in self._waiting.values():
            # nats-py hands the server's words on in lower case
            if asked.lower() == subject.lower() and not waiting.done():
                waiting.set_exception(PermissionDenied(f"the server does not let {self.profile.name} publish {asked}"))


def servers_at(url: str) -> dict[str, Any]:
    """What nats-py has to be told to reach the servers of an address.

    Raises:
        InvalidDocument: it is no address, or its authority's certificate cannot be read.
    """
    address = read_address(url)
    context = address.context()
    encrypted = {"tls": context, "tls_handshake_first": True} if context else {}
    return {"servers": list(address.servers), **encrypted}


def _give_up(waiting: asyncio.Future[Msg], subject: str, timeout_s: float) -> None:
    if not waiting.done():
        waiting.set_exception(DeadlineExceeded(f"no answer on {subject} within {timeout_s:g} s"))


def _require_plain(*subjects: str) -> None:
    for subject in subjects:
        if " " in subject or not subject.isprintable():
            raise InvalidSubject(f"{subject!r} holds white space, which would begin another word of the protocol")


def is_no_responders(message: Msg) -> bool:
    """The server's own notice that nobody listens where this message was sent."""
    return not message.data and message.headers.get("Status") == _NO_RESPONDERS


def _next_server(servers: list[Any], _info: dict[str, Any]) -> tuple[Srv | None, float]:
    """The least tried server, after a jittered delay that grows to 2 s."""
    server = min(servers, key=lambda candidate: candidate.reconnects)
    delay_s = min(2.0, 0.05 * 2 ** min(server.reconnects, 6)) * random.uniform(0.5, 1.0)  # noqa: S311  jitter, not a secret
    return server, delay_s
