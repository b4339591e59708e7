"""One request and its answer over HTTP/1.1, on a connection of its own, with every size bounded.

Source: RFC 9112 (HTTP/1.1), RFC 9110 (semantics).
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from typing import Final

from agents.tools.errors import ToolAway
from agents.tools.web.guard import Guard
from agents.tools.web.target import Target

_STATUS: Final = re.compile(rb"HTTP/1\.[01] ([1-5]\d\d)(?: [^\r\n]*)?\r?\n")
_MAX_HEADERS, _MAX_LINE, _MAX_EARLY = 200, 16 * 1024, 10
_NO_BODY: Final = frozenset({204, 304})
FIRST_OUTAGE: Final = 500
"""From this status on the fault is the server's, not of what was asked."""
_PIECE: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent. Names and values of `headers` are one line each; that is the maker's to see to."""

    method: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Response:
    """What came back; names of headers in lower case, the last of several of one name. `is_cut`: there was more."""

    status: int
    headers: dict[str, str]
    body: bytes
    is_cut: bool


async def exchange(guard: Guard, target: Target, request: Request, max_bytes: int) -> Response:
    """Send and read, to the end or to `max_bytes` of body. It has no limit of time: cancel it, and it is closed.

    Raises:
        ToolRefused, ToolFailed, ToolAway: as `Guard.connected`; ToolAway too for what is no HTTP.
    """
    async with guard.connected(target) as (reader, writer):
        try:
            writer.write(_head(target, request) + request.body)
            await writer.drain()
            return await _read(reader, request.method, max_bytes)
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError):
            raise ToolAway(f"{target.host} broke off, or does not speak HTTP") from None


def _head(target: Target, request: Request) -> bytes:
    headers = {
        "Host": target.authority, "Connection": "close", "Accept-Encoding": "identity", "User-Agent": "agentbus",
        **request.headers,
    }  # fmt: skip
    if request.body or request.method in {"POST", "PUT", "PATCH"}:
        headers["Content-Length"] = str(len(request.body))
    lines = [f"{request.method} {target.path} HTTP/1.1", *(f"{name}: {text}" for name, text in headers.items())]
    return "\r\n".join((*lines, "", "")).encode("ascii")


async def _read(reader: asyncio.StreamReader, method: str, max_bytes: int) -> Response:
    for _ in range(_MAX_EARLY):
        match = _STATUS.fullmatch(await _line(reader))
        if match is None:
            raise ValueError("no status line")
        status, headers = int(match[1]), await _headers(reader)
        if status >= 200:  # what comes before says that the answer follows
            break
    else:
        raise ValueError("no answer")
    if method == "HEAD" or status in _NO_BODY:
        return Response(status, headers, b"", is_cut=False)
    body, is_cut = await _body(reader, headers, max_bytes)
    return Response(status, headers, body, is_cut)


async def _line(reader: asyncio.StreamReader) -> bytes:
    line = await reader.readuntil(b"\n")
    if len(line) > _MAX_LINE:
        raise ValueError("a line is too long")
    return line


async def _headers(reader: asyncio.StreamReader) -> dict[str, str]:
    found: dict[str, str] = {}
    for _ in range(_MAX_HEADERS):
        line = (await _line(reader)).decode("latin-1").rstrip("\r\n")
        if not line:
            return found
        name, colon, text = line.partition(":")
        if not colon or not name or name != name.strip():
            raise ValueError("no header")
        found[name.lower()] = text.strip()
    raise ValueError("too many headers")


async def _body(reader: asyncio.StreamReader, headers: dict[str, str], max_bytes: int) -> tuple[bytes, bool]:
    if "chunked" in headers.get("transfer-encoding", "").lower():
        return await _chunks(reader, max_bytes)
    length = headers.get("content-length", "")
    if not length:
        return await _up_to(reader, max_bytes)
    if not re.fullmatch(r"[0-9]{1,18}", length):
        raise ValueError("no length")
    return await reader.readexactly(min(int(length), max_bytes)), int(length) > max_bytes


async def _up_to(reader: asyncio.StreamReader, max_bytes: int) -> tuple[bytes, bool]:
    body = bytearray()
    while len(body) <= max_bytes and (piece := await reader.read(_PIECE)):
        body += piece
    return bytes(body[:max_bytes]), len(body) > max_bytes


async def _chunks(reader: asyncio.StreamReader, max_bytes: int) -> tuple[bytes, bool]:
    body = bytearray()
    while True:
        digits = (await _line(reader)).partition(b";")[0].strip()
        if not re.fullmatch(rb"[0-9A-Fa-f]{1,8}", digits):
            raise ValueError("no chunk")
        size = int(digits, 16)
        if size == 0:
            return bytes(body), False
        body += await reader.readexactly(min(size, max_bytes - len(body) + 1))
        if len(body) > max_bytes:
            return bytes(body[:max_bytes]), True
        if await reader.readexactly(2) != b"\r\n":
            raise ValueError("no end of a chunk")
