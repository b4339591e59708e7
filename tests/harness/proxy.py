"""A TCP proxy on loopback that a test puts between a client and the server, to be the network that fails.

A cut connection is noticed by both ends at once; a stalled one stays open and carries nothing, as behind a
cable that was pulled.
"""

from __future__ import annotations

import asyncio
import contextlib
from types import TracebackType
from typing import Self

_CHUNK = 65536


class Proxy:
    """Forwards to `host:port` until told to stall or to cut. Use it as an async context manager."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._flows = asyncio.Event()
        self._flows.set()
        self._accepts = True
        self._last = b""
        self._passes = asyncio.Event()
        self._passes.set()
        self._open: set[asyncio.StreamWriter] = set()
        self._pumps: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
        self.cut()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    @property
    def port(self) -> int:
        """Where it listens, on loopback."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        """Where clients connect instead."""
        return f"nats://127.0.0.1:{self.port}"

    def stall(self) -> None:
        """Carry nothing from now on, and close nothing; new connections are accepted and hear nothing."""
        self._flows.clear()

    def hold_after(self, last: bytes) -> None:
        """Carry what the client sends up to the end of the next `last`, and hold the rest of it; answers flow."""
        self._last = last

    def cut(self) -> None:
        """End every connection at once, and refuse new ones."""
        self._accepts = False
        for writer in list(self._open):
            writer.transport.abort()

    def heal(self) -> None:
        """Forward again, what was held back first."""
        self._accepts = True
        self._last = b""
        self._flows.set()
        self._passes.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._accepts:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()  # the server is away: the client must see that, as without a proxy
            return
        self._open |= {writer, far_writer}
        for pumping in (self._pump(reader, far_writer, is_clients=True), self._pump(far_reader, writer)):
            pump = asyncio.create_task(pumping)
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, is_clients: bool = False
    ) -> None:
        with contextlib.suppress(OSError, RuntimeError):  # uvloop's word for writing to a connection that was cut
            while data := await source.read(_CHUNK):
                await self._flows.wait()
                if is_clients:
                    data = await self._unheld(data, sink)
                sink.write(data)
                await sink.drain()
        self._open.discard(sink)
        sink.transport.abort()

    async def _unheld(self, data: bytes, sink: asyncio.StreamWriter) -> bytes:
        """What of the client's data is still to be sent when nothing is held."""
        end = data.find(self._last) + len(self._last) if self._last and self._last in data else 0
        if end:
            self._last = b""
            self._passes.clear()
            sink.write(data[:end])
        await self._passes.wait()
        return data[end:]
