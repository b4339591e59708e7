"""What is carried along a conversation: W3C trace context, correlation and cause.

The current trace is a context variable, so an event emitted anywhere inside a handler, or a request
sent from it, belongs to the right conversation without being told.

Source: W3C Trace Context level 1.
"""

from __future__ import annotations

import itertools
import os
import re
from contextvars import ContextVar

import msgspec

from bus import trace_state
from schemas import names

_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_LABEL = re.compile(r"[A-Za-z0-9._:-]{1,80}")
_SPANS = itertools.count(int.from_bytes(os.urandom(7)))
"""Span ids of this process: a random beginning, and on from there."""


class Trace(msgspec.Struct, frozen=True, gc=False):
    """Labels of a conversation. They are hints for readers of the trail; nothing is decided by them."""

    trace_id: str
    span_id: str
    correlation: str
    causation: str = ""
    state: str = ""
    """What tracing systems gave along, as `tracestate` has it."""

    @property
    def traceparent(self) -> str:
        """The header value for requests made from here."""
        return f"00-{self.trace_id}-{self.span_id}-01"

    def headers(self) -> dict[str, str]:
        """The headers that carry this trace to the next process."""
        carried = {names.TRACEPARENT: self.traceparent}
        if self.correlation != self.trace_id:  # what `continued` assumes anyway
            carried[names.CORRELATION] = self.correlation
        if self.causation:
            carried[names.CAUSATION] = self.causation
        if self.state:
            carried[names.TRACESTATE] = self.state
        return carried

    def caused_by(self, event_id: str) -> Trace:
        """The same conversation, after `event_id`."""
        return Trace(self.trace_id, self.span_id, self.correlation, event_id, self.state)


def new_trace() -> Trace:
    """The start of a conversation."""
    trace_id = os.urandom(16).hex()
    return Trace(trace_id, _span(), trace_id)


def of_conversation(correlation: str) -> Trace | None:
    """A trace for what belongs to a conversation and is done apart from it; None where `correlation` is no label."""
    label = _label(correlation)
    return Trace(os.urandom(16).hex(), _span(), label) if label else None


def continued(headers: dict[str, str]) -> Trace:
    """The trace that lower-case `headers` carry, in a new span; a new one where they carry none."""
    match = _TRACEPARENT.fullmatch(headers.get(names.TRACEPARENT, ""))
    trace_id = match[1] if match else os.urandom(16).hex()
    correlation = _label(headers.get(_CORRELATION, "")) or trace_id
    given = headers.get(names.TRACESTATE, "") if match else ""  # without a trace it belongs to none
    state = trace_state.carried(given) if given else ""
    return Trace(trace_id, _span(), correlation, _label(headers.get(_CAUSATION, "")), state)


def _span() -> str:
    return f"{next(_SPANS):016x}"


def _label(text: str) -> str:
    return text if text and _LABEL.fullmatch(text) else ""


_CORRELATION, _CAUSATION = names.CORRELATION.lower(), names.CAUSATION.lower()
_current: ContextVar[Trace | None] = ContextVar("trace", default=None)


def current() -> Trace | None:
    """The trace of the work that is running here."""
    return _current.get()


def enter(trace: Trace) -> None:
    """Make `trace` the current one for the rest of this task, which has a context of its own."""
    _current.set(trace)


class entered:  # noqa: N801  used as a block, named as one
    """Make `trace` the current one inside the block."""

    __slots__ = ("_token", "_trace")

    def __init__(self, trace: Trace) -> None:
        self._trace = trace

    def __enter__(self) -> Trace:
        self._token = _current.set(self._trace)
        return self._trace

    def __exit__(self, *_: object) -> None:
        _current.reset(self._token)
