"""Message headers, read strictly: what is malformed is marked, not skipped.

nats-py drops lines it cannot read and lets the last duplicate win. A receiver that decides anything
from headers needs to know, so `parse` keeps the first value and adds `MALFORMED`.
"""

from __future__ import annotations

import re
from typing import Final

from schemas.errors import InvalidArgument

MALFORMED: Final = ":malformed"
"""A key that cannot stand on the wire; its value says what was wrong."""
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_PLAIN = re.compile(rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[^\r\n]*\r\n)+(?:\r\n)?")
_FIRST = re.compile(rb"NATS/1\.0(?: (?P<status>[0-9]{3})(?: (?P<description>[ -~]*))?)?")


def parse_block(block: bytes) -> dict[str, str]:
    """Read a whole header block: the version line, which in the server's own notices has a status, then the lines.

    Never raises, whatever the bytes: a receiver that fails on one message is disconnected by it.
    """
    first, _, lines = block.partition(b"\r\n")
    match = _FIRST.fullmatch(first)
    if match is None:
        return {MALFORMED: "the version line is not NATS/1.0"}
    headers = parse(lines)
    named = {name.lower() for name in headers}
    status = {"Status": match["status"], "Description": match["description"]}
    for name, value in status.items():
        if value and name.lower() in named:
            headers[MALFORMED] = f"header {name} is given beside a status line"
        elif value:
            headers[name] = value.decode("ascii")
    return headers


def parse(block: bytes) -> dict[str, str]:
    """Read `Name: value` lines (CRLF between them, no status line).

    Never raises: a bad line, a name given twice in any case, or bytes that are not UTF-8 put the reason
    under `MALFORMED`.
    """
    return _parse_plain(block) or _parse_line_by_line(block)


def _parse_plain(block: bytes) -> dict[str, str] | None:
    """The headers of a block without any problem, None when a closer look is needed: every message takes this way."""
    if not _PLAIN.fullmatch(block):
        return None
    try:
        lines = block.decode().split("\r\n")
    except UnicodeDecodeError:
        return None
    pairs = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines if line)]
    return dict(pairs) if len({name.lower() for name, _ in pairs}) == len(pairs) else None


def _parse_line_by_line(block: bytes) -> dict[str, str]:
    headers: dict[str, str] = {}
    seen: set[bytes] = set()
    for line in block.split(b"\r\n"):
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


def lowered(headers: dict[str, str] | None) -> dict[str, str]:
    """The same headers by lower-case name: A2A parameters are case-insensitive, NATS headers are not."""
    return {name.lower(): value for name, value in headers.items()} if headers else {}


def encode(headers: dict[str, str]) -> bytes:
    """The header block on the wire, version line and blank line included.

    Raises:
        InvalidArgument: a name is not plain, or a value holds a line break, which would begin a header of its own.
    """
    text = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    block = text.encode()
    if not _PLAIN.fullmatch(block) or text.count("\n") != len(headers):
        raise InvalidArgument("a header's name is not plain, or its value holds a line break")
    return b"NATS/1.0\r\n" + block + b"\r\n"
