"""Message headers, read strictly: what is malformed is marked, not skipped.

nats-py drops lines it cannot read and lets the last duplicate win. A receiver that decides anything
from headers needs to know, so reading keeps the first value and adds `MALFORMED`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from schemas.errors import InvalidArgument

MALFORMED: Final = ":malformed"
"""A key that cannot stand on the wire; its value says what was wrong."""
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_LINES = re.compile(rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[^\r\n]*\r\n)+")
_VERSION_LINE = b"NATS/1.0\r\n"
_FIRST = re.compile(rb"NATS/1\.0(?: (?P<status>[0-9]{3})(?: (?P<description>[ -~]*))?)?")


def parse_block(block: bytes) -> dict[str, str]:
    """Read a whole header block: the version line, which in the server's own notices has a status, then the lines.

    Never raises, whatever the bytes: a receiver that fails on one message is disconnected by it. A bad line, a name
    given twice in any case, or bytes that are not UTF-8 put the reason under `MALFORMED`.
    """
    return _parse_plain(block, lowered=False) or _parse_closely(block)


def parse_lowered(block: bytes) -> dict[str, str]:
    """As `parse_block`, by lower-case name: A2A parameters are case-insensitive, NATS headers are not."""
    headers = _parse_plain(block, lowered=True)
    if headers:
        return headers
    return {_lowered_name(name) or name: value for name, value in _parse_closely(block).items()}


def _parse_plain(block: bytes, *, lowered: bool) -> dict[str, str] | None:
    """The headers of a block without any problem, None when a closer look is needed: every message takes this way."""
    if not block.startswith(_VERSION_LINE):
        return None
    try:
        lines = block[len(_VERSION_LINE) :].decode().split("\r\n")
    except UnicodeDecodeError:
        return None
    headers: dict[str, str] = {}
    seen: set[str] = set()
    for line in lines:
        if not line:
            continue
        name, colon, value = line.partition(":")
        low = _lowered_name(name)
        if not colon or not low or low in seen or "\n" in value or "\r" in value:
            return None
        seen.add(low)
        headers[low if lowered else name] = value.strip(" \t")
    return headers


@lru_cache(maxsize=256)
def _lowered_name(name: str) -> str:
    """Empty when it cannot be a name. The same few names come again and again."""
    return name.lower() if _NAME.fullmatch(name.encode()) else ""


def _parse_closely(block: bytes) -> dict[str, str]:
    first, _, lines = block.partition(b"\r\n")
    match = _FIRST.fullmatch(first)
    if match is None:
        return {MALFORMED: "the version line is not NATS/1.0"}
    headers = _parse_line_by_line(lines)
    named = {name.lower() for name in headers}
    status = {"Status": match["status"], "Description": match["description"]}
    for name, value in status.items():
        if value and name.lower() in named:
            headers[MALFORMED] = f"header {name} is given beside a status line"
        elif value:
            headers[name] = value.decode("ascii")
    return headers


def _parse_line_by_line(lines: bytes) -> dict[str, str]:
    headers: dict[str, str] = {}
    seen: set[bytes] = set()
    for line in lines.split(b"\r\n"):
        if not line:
            continue
        name, colon, value = line.partition(b":")
        if not colon or not _NAME.fullmatch(name):
            headers[MALFORMED] = "a header line without a plain name"
            continue
        if name.lower() in seen:
            headers[MALFORMED] = f"header {name.decode()} is given twice"
            continue
        seen.add(name.lower())
        try:
            headers[name.decode()] = value.strip().decode()
        except UnicodeDecodeError:
            headers[MALFORMED] = f"header {name.decode()} is not UTF-8"
    return headers


class Block(bytes):
    """A header block as it stands on the wire, ready to be sent; empty when there are no headers."""


def encode(headers: dict[str, str]) -> Block:
    """The header block on the wire, version line and blank line included.

    Raises:
        InvalidArgument: a name is not plain, or a value holds a line break, which would begin a header of its own.
    """
    if not headers:
        return Block()
    text = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    block = text.encode()
    if not _LINES.fullmatch(block) or text.count("\n") != len(headers):
        raise InvalidArgument("a header's name is not plain, or its value holds a line break")
    return Block(b"NATS/1.0\r\n" + block + b"\r\n")


def extended(block: Block, more: dict[str, str]) -> Block:
    """`block` with further headers behind its own; raises as `encode`."""
    return Block(block[:-2] + encode(more)[len(_VERSION_LINE) :]) if block else encode(more)
