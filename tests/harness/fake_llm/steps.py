"""What the fake can be told to answer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Wire = Literal["openai", "anthropic"]


@dataclass(frozen=True)
class Say:
    """An answer of text. `stop` is the wire's own word (`length`, `max_tokens`, `refusal`, …), if not the usual."""

    text: str
    stop: str = ""
    input_tokens: int = 11
    output_tokens: int = 7
    cached_tokens: int = 0
    """Of the input tokens."""


@dataclass(frozen=True)
class CallTool:
    """An answer that asks for tools: one, and `more` of them. A str as input stands as it is."""

    name: str
    input: dict[str, Any] | str = field(default_factory=dict)
    more: tuple[tuple[str, dict[str, Any] | str], ...] = ()
    text: str = ""
    input_tokens: int = 11
    output_tokens: int = 7
    cached_tokens: int = 0

    @property
    def calls(self) -> list[tuple[str, dict[str, Any] | str]]:
        """All calls in order."""
        return [(self.name, self.input), *self.more]


Answer = Say | CallTool


@dataclass(frozen=True)
class Fail:
    """An error answer. `code` and `kind` are the wire's words; `message` may hold what must not be repeated."""

    status: int
    kind: str = ""
    code: str | None = None
    message: str = "the fake was told to fail"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class FailMidway:
    """Half of a streamed answer, then the wire's event of an error (of which `status` and `headers` do not count)."""

    answer: Answer
    error: Fail


@dataclass(frozen=True)
class Raw:
    """Any bytes as the body of a 200 answer, of the type that the request asks for where none is given."""

    body: bytes
    content_type: str = ""


@dataclass(frozen=True)
class Cut:
    """Half of an answer, then the connection is closed; or (`is_tidy`) the body ends as if that were all."""

    answer: Answer
    is_tidy: bool = False


@dataclass(eq=False)
class Gate:
    """`reached` is set when the request is there; the answer goes out when the test sets `release`.

    `abandoned` is set when the client goes away before that.
    """

    reached: asyncio.Event = field(default_factory=asyncio.Event)
    release: asyncio.Event = field(default_factory=asyncio.Event)
    abandoned: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True)
class Held:
    """An answer that waits at the gate: wholly, or (`is_half_sent`) after its head and half of its body."""

    answer: Answer
    gate: Gate
    is_half_sent: bool = False


@dataclass(frozen=True)
class Drip:
    """An answer whose body comes a byte at a time: no single read is slow, the whole is."""

    answer: Answer
    interval_s: float = 0.05


Step = Say | CallTool | Fail | FailMidway | Raw | Cut | Held | Drip
