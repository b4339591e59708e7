"""Producing processes for the tests: one that has imported everything forks one per order, and tells how it ended.

An order is a line of JSON on standard input; what the process does is a line of JSON each on standard output. It emits
a burst of events, waits for the word to go on, emits a burst with the fault, then one more.
"""

from __future__ import annotations

import asyncio
import os
import sys
import traceback
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
import structlog

from bus.audit.emit import Audit, Options
from bus.audit.event import Happened
from bus.audit.producer import Producer
from bus.connection import Connection, Profile
from bus.credentials import Credential
from bus.errors import AuditUnavailable
from schemas import names
from tests.faults.planting import Fault, die, say, wait_for_go

FORMS = {"one": (1,), "few": (1, 1, 1), "packed": (14, 13, 13)}
"""Events of one domain after the other in a burst: a batch of one message, or of three."""
Play = Callable[[bytes], Coroutine[Any, Any, None]]
"""What a forked process does with its order, a line of JSON."""
_KINDS = ("request.received", "llm.called", "request.received")


class Order(msgspec.Struct, frozen=True):
    """What a process is to do."""

    url: str
    keys: str
    directory: str
    step: str
    what: str
    form: str
    is_killed_later: bool = False
    """Die when the last burst is emitted and none of it is sent."""
    first: int = 0
    """The number of its first event."""
    is_restart: bool = False
    """The fault is for its start; then it emits one burst."""


class Bursts:
    """The events of one process, numbered from `first`."""

    def __init__(self, audit: Audit, form: str, first: int) -> None:
        self._audit = audit
        self._runs = FORMS[form]
        self._number = first

    def emit(self) -> None:
        """One batch; says which events were taken and which were refused."""
        burst = [Happened(kind=kind, action="x", size=self._next()) for kind in self._kinds()]
        for part in [burst] if len(burst) > len(_KINDS) else [[one] for one in burst]:
            numbers = [one.size for one in part]
            try:
                self._audit.emit_all(part)
                say(taken=numbers)
            except AuditUnavailable as error:
                say(refused=numbers, why=str(error))

    def _next(self) -> int:
        self._number += 1
        return self._number - 1

    def _kinds(self) -> list[str]:
        return [kind for kind, count in zip(_KINDS, self._runs, strict=False) for _ in range(count)]

    async def confirm(self) -> None:
        """Say whether everything is confirmed."""
        try:
            await self._audit.confirm(0.5)
        except AuditUnavailable as error:
            say(unconfirmed=str(error))
            try:
                await self._audit.confirm(20)
            except AuditUnavailable:
                return
        say(confirmed=self._number)


async def _produce(line: bytes) -> None:
    order = msgspec.json.decode(line, type=Order)
    keys, fault = Path(order.keys), Fault(order.step, order.what)
    fault.plant()
    profile = Profile(
        url=order.url,
        credential=Credential(keys / "greeter.nk"),
        name="greeter",
        inbox_prefix=names.inbox_prefix("greeter"),
    )
    connection = await Connection.open(profile)
    producer, signing = Producer("greeter", "0", is_agent=True), Credential(keys / "greeter.audit.nk")
    options = Options(on_stopped=lambda problem: say(stopped=str(problem)))
    if order.is_restart:
        say(armed=os.getpid())
        await asyncio.to_thread(wait_for_go)
        fault.arm()
    try:
        audit = await Audit.open(connection, producer, signing, Path(order.directory), options)
    except AuditUnavailable as error:
        say(stopped=str(error), spent=fault.is_spent)
        return
    bursts = Bursts(audit, order.form, order.first)
    if order.is_restart:
        await _one_burst(bursts, fault)
    else:
        await _three_bursts(bursts, order, fault)
    await audit.close()
    await connection.close()


async def _one_burst(bursts: Bursts, fault: Fault) -> None:
    bursts.emit()
    await bursts.confirm()
    say(spent=fault.is_spent)


async def _three_bursts(bursts: Bursts, order: Order, fault: Fault) -> None:
    bursts.emit()
    await bursts.confirm()
    say(armed=os.getpid())
    await asyncio.to_thread(wait_for_go)
    fault.arm()
    bursts.emit()
    if not (order.is_killed_later and fault.is_spent):  # what hits the spool shows in what follows it there
        await bursts.confirm()
        await fault.arrive()
    bursts.emit()
    if order.is_killed_later:
        say(spent=fault.is_spent)
        die()
    await bursts.confirm()
    say(spent=fault.is_spent)


def _child(play: Play, line: bytes) -> int:
    try:
        asyncio.run(play(line))
    except Exception:  # noqa: BLE001  the test reads it
        say(crashed=traceback.format_exc())
        return 1
    return 0


def fork_each(play: Play) -> None:
    """Fork a process for each order until standard input ends; it plays that order."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    while line := os.read(0, 65536):
        child = os.fork()
        if not child:
            os._exit(_child(play, line))
        _, status = os.waitpid(child, 0)
        say(ended=os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    fork_each(_produce)
