"""The chain of agents at whose work a request is made: it ends loops, and bounds what is asked by who asked first.

The request that is being served is a context variable, as the trace is: what a handler asks of others, anywhere
inside it, carries the handler's own chain on and ends no later than the handler must. `Agentbus-Chain` is a hint
between honest agents and no identity: one that leaves it out gains nothing but that its loop is ended by deadlines,
rates and queues instead.
"""

from __future__ import annotations

import re
import time
from contextvars import ContextVar
from typing import Final

from bus.inbound import Call
from schemas import names
from schemas.errors import DeadlineExceeded, InvalidArgument, LoopDetected
from schemas.subjects import TOKEN

LONGEST: Final = 16
_CHAIN = re.compile(rf"{TOKEN}(?:,{TOKEN}){{0,{LONGEST - 1}}}")
_serving: ContextVar[Call | None] = ContextVar("serving", default=None)
_until_ms: ContextVar[int | None] = ContextVar("until_ms", default=None)


def enter(call: Call) -> None:
    """What is asked in the rest of this task, which has a context of its own, is asked for `call`."""
    _serving.set(call)


def limit(call: Call, limit_s: float) -> int:
    """The deadline, in milliseconds, of a handler of `call` that may take `limit_s` from now on.

    It is the caller's, or the agent's own where that is sooner; what the handler asks of others has it too.
    """
    until_ms = int((time.time() + limit_s) * 1000)
    if call.deadline_ms is not None and call.deadline_ms < until_ms:
        until_ms = call.deadline_ms
    _until_ms.set(until_ms)
    return until_ms


def refuse_loop(call: Call) -> None:
    """Return unless serving the call would go round in a circle, or on and on.

    Raises:
        LoopDetected: the called agent is in the call's chain, or the chain is as long as one may be.
        InvalidArgument: the chain is not one.
    """
    chain = call.chain
    if not chain:
        return
    if not _CHAIN.fullmatch(chain):
        raise InvalidArgument(f"header {names.CHAIN} is not a list of at most {LONGEST} agents' names with commas")
    agents = chain.split(",")
    if call.agent in agents:
        way = " → ".join([*agents, call.agent])
        raise LoopDetected(
            f"{call.agent} is asked in the course of its own work: {way}; let one of them answer by itself"
        )
    if len(agents) == LONGEST:
        raise LoopDetected(f"the request has come through {LONGEST} agents already, the last of them {agents[-1]}")


def headers() -> dict[str, str]:
    """What a request from here carries besides its trace: the chain with the agent that serves; nothing outside."""
    call = _serving.get()
    if call is None:
        return {}
    return {names.CHAIN: f"{call.chain},{call.agent}" if call.chain else call.agent}


def within(timeout_s: float) -> float:
    """`timeout_s`, or what the work that is being done has left, if that is less.

    Raises:
        DeadlineExceeded: it has nothing left.
    """
    until_ms = _deadline_ms()
    if until_ms is None:
        return timeout_s
    left_s = until_ms / 1000 - time.time()
    if left_s <= 0:
        raise DeadlineExceeded("the caller's own deadline has passed; nothing more was asked for it")
    return min(left_s, timeout_s)


def deadline_ms(timeout_s: float) -> int:
    """The absolute deadline of what is asked now, `timeout_s` from now, and not a millisecond after that of the work."""
    wanted_ms = int((time.time() + timeout_s) * 1000)
    until_ms = _deadline_ms()
    return wanted_ms if until_ms is None or wanted_ms < until_ms else until_ms


def _deadline_ms() -> int | None:
    until_ms = _until_ms.get()
    if until_ms is None and (call := _serving.get()) is not None:
        until_ms = call.deadline_ms
    return until_ms
