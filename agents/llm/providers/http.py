"""One streamed answer over an official client: opened, read within its time, closed.

The client makes the request and tells refusals apart. The body is read here, strictly, because the
client builds half an object from half an answer without a word.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from functools import cache
from typing import Any, Final, Protocol

import msgspec

from agents.llm.conversation import Answer
from agents.llm.deltas import Delta, Finished, TextDelta
from agents.llm.errors import AnswerUnreadable, NetworkFailed, TimedOut

from .failures import HttpFailure, error_of
from .sse import EventDecoder

MAX_ANSWER_BYTES: Final = 32 * 1024 * 1024
_DRAIN_S: Final = 0.1
"""How long the end of a body is waited for after the answer's: a body read to its end leaves a connection to reuse."""


@cache
def _trusted() -> ssl.SSLContext:
    """The certificates that this process trusts; reading them takes 40 ms and 2 MB, so all clients share them."""
    import httpx2

    return httpx2.create_ssl_context()


def http_client(sdk: Any) -> Any:
    """The HTTP client of an official client, as that would make it. Its owner closes it."""
    return sdk.DefaultAsyncHttpxClient(verify=_trusted())


class Reading(Protocol):
    """An answer as far as it was read. No I/O."""

    is_done: bool
    """The event that ends every whole answer was there."""

    def take(self, event: bytes) -> str:
        """Read one event's data; the text that it adds.

        Raises:
            LlmError: it tells of a failure, or is not of its format.
        """
        ...

    def answer(self) -> Answer:
        """The whole answer, once `is_done`.

        Raises:
            LlmError: the model or its provider refused to answer.
        """
        ...


class Call(msgspec.Struct, frozen=True):
    """One call: the client's package (its exceptions have the same names everywhere), who is asked, for how long."""

    sdk: Any
    where: str
    timeout_s: float


async def read_answer(call: Call, opening: AbstractAsyncContextManager[Any], reading: Reading) -> AsyncGenerator[Delta]:
    """The pieces of the answer, then the whole. See `Provider.stream`.

    No timeout is open while a piece is with the consumer: it would strike there instead of here.
    """
    deadline = asyncio.get_running_loop().time() + call.timeout_s
    with failures_told(call):
        response = await _opened(opening, deadline)
        try:
            _check_is_stream(call, response)
            received = _Received(response, deadline)
            async for events in received:
                text = "".join(map(reading.take, events))
                if text:
                    yield TextDelta(text)
                if reading.is_done:
                    break
                if received.total > MAX_ANSWER_BYTES:
                    raise AnswerUnreadable(call.where, f"the answer is over {MAX_ANSWER_BYTES} bytes")
            else:
                raise NetworkFailed(call.where, "the answer ended before its end")
            await received.drain()
        finally:
            await opening.__aexit__(None, None, None)
    yield Finished(reading.answer())


async def answered[T](call: Call, asking: Awaitable[T]) -> T:
    """What is not streamed. Raises as `Provider.probe`."""
    with failures_told(call):
        async with asyncio.timeout(call.timeout_s):
            return await asking


class _Received:
    """The events of a body, as many at a time as one read brought."""

    def __init__(self, response: Any, deadline: float) -> None:
        self._chunks = response.iter_bytes()
        self._deadline = deadline
        self._decoder = EventDecoder()
        self.total = 0

    def __aiter__(self) -> AsyncIterator[list[bytes]]:
        return self

    async def __anext__(self) -> list[bytes]:
        async with asyncio.timeout_at(self._deadline):
            received = await anext(self._chunks)
        self.total += len(received)
        return self._decoder.feed(received)

    async def drain(self) -> None:
        """Read to the body's end, which normally is there already."""
        with suppress(TimeoutError, *_broken()):
            async with asyncio.timeout(_DRAIN_S):
                async for _ in self._chunks:
                    pass


async def _opened(opening: AbstractAsyncContextManager[Any], deadline: float) -> Any:
    async with asyncio.timeout_at(deadline):
        return await opening.__aenter__()


def _check_is_stream(call: Call, response: Any) -> None:
    if not response.headers.get("content-type", "").startswith("text/event-stream"):
        raise AnswerUnreadable(call.where, "the answer is not an event stream")


@contextmanager
def failures_told(call: Call) -> Iterator[None]:
    """Tell the failures of an official client, and of the connection under it, as ours."""
    sdk = call.sdk
    try:
        yield
    except (TimeoutError, sdk.APITimeoutError):
        raise TimedOut(call.where, f"no answer within {call.timeout_s:g} s") from None
    except sdk.APIConnectionError as error:
        raise NetworkFailed(call.where, f"the connection failed ({type(error.__cause__ or error).__name__})") from None
    except sdk.APIStatusError as error:
        codes = tuple(getattr(error, name, None) for name in ("code", "error_code", "type"))
        failure = HttpFailure(
            status=error.status_code, codes=codes, message=error.message, headers=error.response.headers
        )
        raise error_of(call.where, failure) from None
    except _broken() as error:
        raise NetworkFailed(call.where, f"the connection failed ({type(error).__name__})") from None


def _broken() -> tuple[type[Exception], ...]:
    """What a connection that breaks while a body is read raises; the clients do not translate it."""
    import anyio  # loaded by whichever client made the request
    import httpx2

    return httpx2.RequestError, ssl.SSLError, anyio.EndOfStream
