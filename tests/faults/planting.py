"""A fault at a named step of this process: it happens once, then everything works again.

The steps are those of an event on its way: into the spool, onto its disk, over the wire in three messages, and the
bookkeeping when the server has confirmed; and those of a producer's start, which asks the stream and loads the spool.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, NoReturn

from bus.audit.writing import head, publisher, spool, store
from bus.connection import Connection, Msg
from schemas import names
from schemas.errors import DeadlineExceeded, Unavailable

REQUEST_TIMEOUT_S = 0.4
"""Shortened for the tests: how long a producer waits for an answer that does not come, or comes too late."""
_PATIENT_S = 60.0
"""How long for one that is only late, however slow the machine is."""
LATE_S = 0.2
_SIGNED = f"{names.SIGNATURE}:".encode()
_FIRST = f"{names.BATCH_SEQUENCE}: 1\r\n".encode()

Step = Callable[[], Awaitable[Any]]


def say(**what: object) -> None:
    """Tell the test, in one write: a killed process leaves no half line."""
    os.write(1, json.dumps(what).encode() + b"\n")


def wait_for_go() -> None:
    """Stand still until the test says so."""
    if not os.read(0, 1):
        raise SystemExit("the test is gone")


def die() -> NoReturn:
    """End as kill -9 does."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("this process is dead")


class Fault:
    """`what` happens the first time that `step` is taken after `arm`. Plant it before anything is opened."""

    def __init__(self, step: str, what: str) -> None:
        self.step = step
        self.what = what
        self.is_armed = False
        self.is_spent = False
        self.delayed: Step | None = None
        """A message that the producer has given up and that is still on its way."""

    def plant(self) -> None:
        """Put it in its place. What the network or the server does is the test's to do."""
        store._REQUEST_TIMEOUT_S = _PATIENT_S if self.what in {"late", "held late"} else REQUEST_TIMEOUT_S
        match self.step:
            case "spool write":
                self._in_spool("write")
            case "spool fsync":
                self._in_spool("fdatasync")
                self._slow_down_publishing()
            case "head" if self.what in {"in part", "kill within"}:
                put(head, "os", Instead(os, "write", self.around(os.write)))
            case "head":
                put(publisher, "write_head", self.around(head.write_head))
            case "cut":
                self._in_spool("ftruncate")
            case "ack":
                self._in_answers()
            case "ask" | "load":
                self._in_start()
            case _:
                self._in_messages()

    def arm(self) -> None:
        """Let it happen from now on."""
        self.is_armed = True

    async def arrive(self) -> None:
        """Let a message that was given up reach the server now."""
        if self.delayed:
            delayed, self.delayed = self.delayed, None
            try:
                await delayed()
            except (DeadlineExceeded, Unavailable) as error:
                say(arrived=str(error))

    def spend(self) -> bool:
        """Whether it happens now."""
        is_now = self.is_armed and not self.is_spent
        self.is_spent |= is_now
        return is_now

    def _in_spool(self, name: str) -> None:
        put(spool, "os", Instead(os, name, self.around(getattr(os, name))))

    def _slow_down_publishing(self) -> None:
        """Only what is not confirmed soon is made durable here. A process that is to die has begun to when it is spent."""
        append = store.SlotStore.append
        is_deadly = self.what.startswith("kill")

        async def slowly(slot: store.SlotStore, batch: Any, fence: int, salt: str = "") -> int:
            while self.is_armed and (is_deadly or not self.is_spent):
                await asyncio.sleep(0.01)
            return await append(slot, batch, fence, salt)

        put(store.SlotStore, "append", slowly)

    def around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """The call, with the fault at its turn."""

        def planted(*arguments: Any) -> Any:
            return _SYNC[self.what](call, *arguments) if self.spend() else call(*arguments)

        return planted

    def _in_messages(self) -> None:
        request, publish_all = Connection.request, Connection.publish_all

        async def planted_request(connection: Connection, subject: str, payload: bytes = b"", **more: Any) -> Any:
            step = partial(request, connection, subject, payload, **more)
            block = bytes(more.get("headers") or b"")
            return await self._take(_name(block), step, connection)

        async def planted_all(connection: Connection, messages: Any) -> None:
            await self._take("middle message", partial(publish_all, connection, list(messages)), connection)

        put(Connection, "request", planted_request)
        put(Connection, "publish_all", planted_all)

    async def _take(self, name: str, step: Step, connection: Connection) -> Any:
        if name and self.what == "crossing":
            await self.arrive()
        at = "committing message" if self.step == "server" else self.step
        if name != at or not self.spend():
            return await step()
        return await _ASYNC[self.what](self, step, connection)

    def _in_start(self) -> None:
        if self.step == "load":
            put(spool.Spool, "load", self.around(spool.Spool.load))
            return
        lasts = store.SlotStore.lasts

        async def planted(slot: store.SlotStore, at_least: int = 0) -> Any:
            step = partial(lasts, slot, at_least)
            return await (_ASYNC[self.what](self, step, slot._connection) if self.spend() else step())

        put(store.SlotStore, "lasts", planted)

    def _in_answers(self) -> None:
        on_answer, append = Connection._on_answer, store.SlotStore.append

        def planted(connection: Connection, message: Msg) -> None:
            if b'"seq":' not in message.data or self.what == "kill after" or not self.spend():
                on_answer(connection, message)
            elif self.what == "kill before":
                die()
            else:
                wait_s = LATE_S if self.what == "late" else 2 * REQUEST_TIMEOUT_S
                asyncio.get_running_loop().call_later(wait_s, on_answer, connection, message)

        async def appended(slot: store.SlotStore, batch: Any, fence: int, salt: str = "") -> int:
            sequence = await append(slot, batch, fence, salt)
            return die() if self.what == "kill after" and self.spend() else sequence

        put(Connection, "_on_answer", planted)
        put(store.SlotStore, "append", appended)


class Instead:
    """A module with one function replaced."""

    def __init__(self, module: Any, name: str, function: Callable[..., Any]) -> None:
        self._module = module
        setattr(self, name, function)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


def put(owner: Any, name: str, replacement: Any) -> None:
    """Replace an attribute for the rest of the process."""
    setattr(owner, name, replacement)


def _name(block: bytes) -> str:
    """Which message of a batch it is: the one that ends it is signed, also when it is alone."""
    if _SIGNED in block:
        return "committing message"
    return "first message" if _FIRST in block else ""


def _refused(_call: Callable[..., Any], *_arguments: Any) -> NoReturn:
    raise OSError(errno.ENOSPC, "planted: no space left")


def _in_part(call: Callable[..., Any], descriptor: int, data: bytes) -> Any:
    return call(descriptor, data[: len(data) // 2])


def _in_part_and_killed(call: Callable[..., Any], descriptor: int, data: bytes) -> NoReturn:
    _in_part(call, descriptor, data)
    die()


def _done_and_refused(call: Callable[..., Any], *arguments: Any) -> NoReturn:
    call(*arguments)
    raise OSError(errno.EIO, "planted: input/output error")


def _slow(call: Callable[..., Any], *arguments: Any) -> Any:
    time.sleep(LATE_S)
    return call(*arguments)


def _killed_before(_call: Callable[..., Any], *_arguments: Any) -> NoReturn:
    die()


def _killed_after(call: Callable[..., Any], *arguments: Any) -> NoReturn:
    call(*arguments)
    die()


async def _not_sent(_fault: Fault, _step: Step, _connection: Connection) -> NoReturn:
    raise Unavailable("planted: not sent")


async def _sent_and_refused(_fault: Fault, step: Step, connection: Connection) -> NoReturn:
    await step()
    await connection.flush()
    raise Unavailable("planted: sent all the same")


async def _sent_late(_fault: Fault, step: Step, _connection: Connection) -> Any:
    await asyncio.sleep(LATE_S)
    return await step()


async def _given_up(fault: Fault, step: Step, _connection: Connection) -> NoReturn:
    fault.delayed = step
    raise DeadlineExceeded("planted: still on its way")


async def _dead_before_sending(_fault: Fault, _step: Step, _connection: Connection) -> NoReturn:
    die()


async def _dead_after_sending(_fault: Fault, step: Step, connection: Connection) -> NoReturn:
    sending = asyncio.ensure_future(step())
    await asyncio.sleep(0)  # it is in the connection's hands
    await connection.flush()
    sending.cancel()
    die()


async def _held(_fault: Fault, step: Step, _connection: Connection) -> Any:
    say(at="committing message")
    await asyncio.to_thread(wait_for_go)
    return await step()


async def _held_when_stored(_fault: Fault, step: Step, _connection: Connection) -> NoReturn:
    await step()
    say(at="committing message, stored")
    await asyncio.to_thread(wait_for_go)
    raise Unavailable("planted: the answer is lost")


_SYNC: dict[str, Callable[..., Any]] = {
    "fails": _refused,
    "in part": _in_part,
    "kill within": _in_part_and_killed,
    "persisted": _done_and_refused,
    "late": _slow,
    "kill before": _killed_before,
    "kill after": _killed_after,
}
_ASYNC: dict[str, Callable[[Fault, Step, Connection], Awaitable[Any]]] = {
    "fails": _not_sent,
    "persisted": _sent_and_refused,
    "late": _sent_late,
    "too late": _given_up,
    "crossing": _given_up,
    "kill before": _dead_before_sending,
    "kill after": _dead_after_sending,
    "held": _held,
    "held late": _held,
    "held when stored": _held_when_stored,
}
