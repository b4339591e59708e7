"""As much of HTTP/1.1 as the fake needs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

JSON = "application/json"
EVENTS = "text/event-stream; charset=utf-8"
_END = b"0\r\n\r\n"


@dataclass(frozen=True)
class Response:
    """An answer as it goes over the wire; of a stream, each of `pieces` is a chunk of its own."""

    pieces: tuple[bytes, ...]
    content_type: str = JSON
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_stream(self) -> bool:
        """Sent in chunks."""
        return self.content_type.startswith("text/event-stream")

    @property
    def payload(self) -> bytes:
        """All that follows the head."""
        return _chunked(self.pieces) + _END if self.is_stream else b"".join(self.pieces)

    def half(self) -> Response:
        """The first half, as a whole answer."""
        body = b"".join(self.pieces)
        pieces = self.pieces[: len(self.pieces) // 2] if self.is_stream else (body[: len(body) // 2],)
        return Response(pieces, self.content_type, self.status, self.headers)

    def head(self) -> bytes:
        """Status and headers, with what they promise of the whole body."""
        length = "transfer-encoding: chunked" if self.is_stream else f"content-length: {len(self.payload)}"
        lines = [
            f"HTTP/1.1 {self.status} Fake",
            f"content-type: {self.content_type}",
            length,
            "x-request-id: req-fake-1",
            *(f"{name}: {value}" for name, value in self.headers.items()),
        ]
        return "\r\n".join([*lines, "", ""]).encode()


def _chunked(pieces: Iterable[bytes]) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece)


async def read_request(reader: asyncio.StreamReader) -> tuple[str, str, dict[str, str], bytes]:
    """Method, path, headers (names in lower case) and body of the next request."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip("\r\n").split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return method, path, headers, await reader.readexactly(int(headers.get("content-length", "0")))


async def send(writer: asyncio.StreamWriter, *pieces: bytes) -> None:
    """Write and wait until the peer takes it."""
    writer.write(b"".join(pieces))
    await writer.drain()
