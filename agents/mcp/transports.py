"""The two ways to a server as the SDK wants them: a pair of streams of messages, open as long as the connection is.

Imported with the SDK only. What a server sends is bounded in both: a longer message ends the connection.

Source: MCP 2025-11-25, Transports; `mcp.client.Transport`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import anyio
import httpx2
import mcp_types
import structlog
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.client._transport import TransportStreams
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.message import SessionMessage

from .child import MAX_LINE_BYTES, Child, started
from .config import Command, Endpoint

_CONNECT_S: Final = 10.0
_log = structlog.get_logger("mcp")
_In = MemoryObjectSendStream[SessionMessage | Exception]
_Out = MemoryObjectReceiveStream[SessionMessage]


@asynccontextmanager
async def over_stdio(
    name: str, command: Command, on_started: Callable[[Child], None], on_end: Callable[[], None]
) -> AsyncIterator[TransportStreams]:
    """A child that is spoken to by lines. `on_started` gets it; `on_end` is called when it speaks no more.

    Raises:
        McpUnusable: it cannot be started.
    """
    child = await started(name, command)
    on_started(child)
    said, hears = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    says, to_say = anyio.create_memory_object_stream[SessionMessage](0)
    reading = asyncio.create_task(_read(child, name, said))
    reading.add_done_callback(lambda _: on_end())
    writing = asyncio.create_task(_write(child, to_say, said))
    try:
        yield hears, says
    finally:
        for stream in (hears, says, said, to_say):
            stream.close()
        await _to_its_end(asyncio.create_task(_end(child, reading, writing), name=f"end of {name}"))


async def _end(child: Child, *tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await child.end()


async def _to_its_end(task: asyncio.Task[None]) -> None:
    """Wait for it, also when cancelled: a time that has run out may not leave a child behind."""
    is_cancelled = False
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            is_cancelled = True
    if is_cancelled:
        raise asyncio.CancelledError
    task.result()


async def _read(child: Child, name: str, said: _In) -> None:
    is_told = False
    with said:
        async for line in _lines(child, name):
            try:
                message = mcp_types.jsonrpc_message_adapter.validate_json(line, by_name=False)
            except ValueError:  # something that was printed; its text is nobody's business
                if not is_told:
                    _log.warning("mcp.message_unreadable", server=name)
                is_told = True
                continue
            try:
                await said.send(SessionMessage(message))
            except (anyio.ClosedResourceError, anyio.BrokenResourceError):
                return


async def _lines(child: Child, name: str) -> AsyncIterator[bytes]:
    while True:
        try:
            line = await child.stdout.readline()
        except ValueError:
            _log.warning("mcp.message_too_long", server=name, max_bytes=MAX_LINE_BYTES)
            return
        if not line:
            return
        yield line


async def _write(child: Child, to_say: _Out, said: _In) -> None:
    try:
        with to_say:
            async for message in to_say:
                text = message.message.model_dump_json(by_alias=True, exclude_unset=True)
                child.stdin.write(text.encode() + b"\n")
                await child.stdin.drain()
    except (OSError, RuntimeError):  # it does not read any more: whoever waits for an answer need not
        said.close()


@asynccontextmanager
async def over_http(endpoint: Endpoint, timeout_s: float) -> AsyncIterator[TransportStreams]:
    """A streamable HTTP server. TLS is verified, redirects stay on its origin, no proxy of the environment is used."""
    transport = _Bounded(httpx2.AsyncHTTPTransport(retries=0))
    timeout = httpx2.Timeout(_CONNECT_S, read=timeout_s + _CONNECT_S)
    async with (
        httpx2.AsyncClient(headers=dict(endpoint.headers), timeout=timeout, transport=transport) as client,
        streamable_http_client(endpoint.url, http_client=client, max_sse_event_size=MAX_LINE_BYTES) as streams,
    ):
        yield streams


class _Bounded(httpx2.AsyncBaseTransport):
    """Ends an answer that is too long, or of which nobody can say how long it gets. Of a stream, each event has a limit."""

    def __init__(self, inner: httpx2.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        request.headers["accept-encoding"] = "identity"  # a few bytes could become many
        response = await self._inner.handle_async_request(request)
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            await response.aclose()
            raise httpx2.RemoteProtocolError("the answer is packed, which nobody asked for")
        if not response.headers.get("content-type", "").lower().startswith("text/event-stream"):
            response.stream = _Counted(response.stream)
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Counted(httpx2.AsyncByteStream):
    def __init__(self, inner: httpx2.SyncByteStream | httpx2.AsyncByteStream | None) -> None:
        if not isinstance(inner, httpx2.AsyncByteStream):
            raise TypeError("an answer of an asynchronous transport is read asynchronously")
        self._inner = inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = MAX_LINE_BYTES
        async for chunk in self._inner:
            left -= len(chunk)
            if left < 0:
                raise httpx2.StreamError("the answer is too long")
            yield chunk

    async def aclose(self) -> None:
        with contextlib.suppress(httpx2.StreamError):
            await self._inner.aclose()
