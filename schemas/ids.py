"""Identifiers and times, made from what is passed in: no clock and no randomness of their own."""

from __future__ import annotations

import base64
import datetime
import hashlib

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = tuple(high + low for high in _CROCKFORD for low in _CROCKFORD)


def ulid(now_ns: int, entropy: bytes) -> str:
    """A ULID: 48 bits of milliseconds, then 80 bits of `entropy` (10 bytes). Source: ulid/spec."""
    number = (now_ns // 1_000_000) << 80 | int.from_bytes(entropy[:10], "big")
    return "".join([_PAIRS[(number >> shift) & 1023] for shift in range(120, -1, -10)])


def rfc3339(now_ns: int) -> str:
    """UTC with milliseconds and `Z`, as ProtoJSON wants it."""
    moment = datetime.datetime.fromtimestamp(now_ns // 1_000_000 / 1000, tz=datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def sha256_hex(data: bytes) -> str:
    """The digest as 64 lower-case hex digits."""
    return hashlib.sha256(data).hexdigest()


def proposal_id(digest: str) -> str:
    """A short name of a proposal: `p-` and 40 bits of its digest in base32. The digest decides, not the name."""
    return "p-" + base64.b32encode(bytes.fromhex(digest)[:5]).decode().lower()


def task_id(stream_sequence: int) -> str:
    """The id of a durable task: anybody who published it knows it from the PubAck."""
    return f"task-{stream_sequence}"


def task_sequence(identity: str) -> int:
    """The sequence that `task_id` made it of.

    Raises:
        ValueError: it is no such id.
    """
    return int(identity.removeprefix("task-"))
