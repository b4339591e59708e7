"""Heartbeats: how an instance says that it is there, and how others hear it.

Guarantees: whoever listens hears an agent's own key, never another's; a roll call is answered by each
instance with a heartbeat, however many call at once. Not guaranteed: that every heartbeat arrives, or that
what it says is true.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import msgspec
import structlog

from bus.connection import Connection, Msg, Subscription
from bus.inbound import reply_problem
from schemas import names, subjects
from schemas.a2a import PROTOCOL_VERSION
from schemas.errors import A2AError, DeadlineExceeded, InvalidArgument, InvalidSubject
from schemas.heartbeat import Heartbeat, State, read_heartbeat

_log = structlog.get_logger("bus")
_GAP_S = 0.2
"""Roll calls that come closer together are answered by one heartbeat."""
_HEADERS = {names.A2A_VERSION: PROTOCOL_VERSION}

OnHeard = Callable[[str, Heartbeat], None]
"""Told which agent spoke, as the server enforced it, and what it said."""


class Pulse:
    """Sends the heartbeats of one instance: at once, then at its interval, and whenever somebody calls the roll.

    `look` gives the heartbeat of this moment, as `ready`.
    """

    def __init__(self, connection: Connection, agent: str, look: Callable[[], Heartbeat]) -> None:
        self._connection = connection
        self._subject = str(subjects.Heartbeat(agent))
        self._look = look
        self._state: State = "ready"
        self._called = asyncio.Event()
        self._subscription: Subscription | None = None

    async def run(self) -> None:
        """Send until cancelled."""
        pattern = subjects.RollCall.pattern()
        self._subscription = await self._connection.subscribe(pattern, lambda _: self._called.set())
        while True:
            self._called.clear()
            interval_s = await self._beat()
            gap_s = min(_GAP_S, interval_s)
            await asyncio.sleep(gap_s)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(interval_s - gap_s):
                    await self._called.wait()

    def drain(self) -> None:
        """Say now, and from now on, that nothing new is taken."""
        self._state = "draining"
        self._called.set()

    async def leave(self) -> None:
        """Send the last heartbeat; `run` has been cancelled."""
        if self._subscription is not None:
            await self._connection.forget(self._subscription)
        self._state = "leaving"
        await self._beat()
        if self._connection.is_connected:
            with contextlib.suppress(DeadlineExceeded):
                await self._connection.flush()  # closing does not wait for it

    async def _beat(self) -> float:
        """Returns the seconds until the next one is due."""
        beat = msgspec.structs.replace(self._look(), state=self._state)
        try:
            await self._connection.publish(self._subject, msgspec.json.encode(beat), headers=_HEADERS)
        except A2AError:
            _log.debug("bus.heartbeat_lost")  # the server is away; the next one may arrive
        return beat.interval_s


class Heartbeats:
    """Hears the heartbeats of every agent as `name`, which must be the identity of the connection."""

    def __init__(self, connection: Connection, name: str) -> None:
        self._connection = connection
        self._name = name

    @property
    def is_connected(self) -> bool:
        """Whether anything can be heard now."""
        return self._connection.is_connected

    async def listen(self, on_heard: OnHeard) -> Subscription:
        """Hear every heartbeat from now on."""

        def on_message(message: Msg) -> None:
            try:
                on_heard(subjects.Heartbeat.parse(message.subject).agent, _read(message))
            except (A2AError, InvalidSubject) as error:
                _log.debug("bus.heartbeat_refused", subject=message.subject, reason=str(error))

        subscription = await self._connection.subscribe(subjects.Heartbeat.pattern(), on_message)
        await self._connection.flush()
        return subscription

    async def call_roll(self) -> None:
        """Ask every instance for a heartbeat now. The fleet file says who may: operators, and `reads_cards`."""
        await self._connection.publish(str(subjects.RollCall(self._name)), b"", headers=_HEADERS)

    async def stop(self, subscription: Subscription) -> None:
        """Hear no more."""
        await self._connection.forget(subscription)


def _read(message: Msg) -> Heartbeat:
    # The server can be steered into sending a status of its own to any subject: those have no version.
    if problem := reply_problem(message):
        raise problem
    if not message.data:
        raise InvalidArgument("the heartbeat is empty")
    return read_heartbeat(message.data)
