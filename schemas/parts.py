"""Large parts as they travel: a `url` part that refers to content which its sender has stored for one reader.

    {"url": "urn:agentbus:part:<writer>:<reader>:<id>", "mediaType": "image/png", "filename": "plan.png",
     "metadata": {"urn:agentbus:a2a:ext:large-parts:v1":
                  {"kind": "raw", "size": 5242880, "sha256": "…", "chunks": 10}}}

Writer and reader stand in the URI, but what they say is believed of nobody: a receiver compares them with the
identity that the server enforced, and the store lets it read only what was written for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, Literal

import msgspec
from msgspec import UNSET

from schemas import names
from schemas.a2a import LARGE_PARTS_URI, Part
from schemas.errors import UNREADABLE, FieldViolation, InvalidArgument, PartNotFound
from schemas.subjects import AGENT_ID, TOKEN

SCHEME: Final = "urn:agentbus:part:"
MOST_CHUNKS: Final = 1024
_URI = re.compile(f"{SCHEME}(?P<writer>{AGENT_ID}):(?P<reader>{AGENT_ID}):(?P<part>{TOKEN})")
_SHA256 = re.compile(r"[0-9a-f]{64}")


Kind = Literal["text", "raw", "data"]
"""Which field of a part the content is."""


class Stored(msgspec.Struct, frozen=True):
    """What a reference says of the content: which field of the part it was, how long it is, its digest."""

    kind: Kind
    size: int
    sha256: str
    chunks: int


class Reference(msgspec.Struct, frozen=True):
    """A reference that was read: whose, for whom, and of what."""

    writer: str
    reader: str
    part: str
    stored: Stored


def limit_of(kind: Kind) -> int:
    """How many bytes a part of this kind may have."""
    return names.MAX_DATA_PART_BYTES if kind == "data" else names.MAX_PART_BYTES


def is_reference(part: Part) -> bool:
    """Whether the part refers to stored content. Every other `url` belongs to the user and is never fetched."""
    return isinstance(part.url, str) and part.url.startswith(SCHEME)


def content_of(part: Part) -> tuple[Kind, bytes] | None:
    """The bytes of a part that can be stored; None for a `url`."""
    if isinstance(part.raw, bytes):
        return "raw", part.raw
    if isinstance(part.text, str):
        return "text", part.text.encode()
    return ("data", msgspec.json.encode(part.data)) if part.data is not UNSET else None


def refer(part: Part, reference: Reference) -> Part:
    """The part that stands for `part` on the wire."""
    url = f"{SCHEME}{reference.writer}:{reference.reader}:{reference.part}"
    metadata = part.metadata | {LARGE_PARTS_URI: msgspec.to_builtins(reference.stored)}
    return Part(url=url, metadata=metadata, filename=part.filename, media_type=part.media_type)


def read_reference(part: Part, *, writer: str, reader: str, where: str) -> Reference:
    """The reference in a part that `writer` sent to `reader`; `where` is its path in the message.

    Raises:
        InvalidArgument: it is malformed, over the limits, or refers to what another one wrote, or wrote for another.
    """
    match = _URI.fullmatch(str(part.url))
    if match is None:
        raise _refusal(f"{where}.url", f"is not of the form {SCHEME}<writer>:<reader>:<id>")
    if (match["writer"], match["reader"]) != (writer, reader):
        raise _refusal(f"{where}.url", f"refers to a part that is not from {writer} to {reader}")
    try:
        stored = msgspec.convert(part.metadata.get(LARGE_PARTS_URI), Stored)
    except msgspec.ValidationError as error:
        raise _refusal(f"{where}.metadata.{LARGE_PARTS_URI}", f"does not say what was stored: {error}") from None
    is_bounded = 0 <= stored.size <= limit_of(stored.kind) and 0 <= stored.chunks <= MOST_CHUNKS
    if not is_bounded or not _SHA256.fullmatch(stored.sha256):
        limits = f"at most {limit_of(stored.kind)} bytes in {MOST_CHUNKS} chunks, and 64 hex digits"
        raise _refusal(f"{where}.metadata.{LARGE_PARTS_URI}", f"is out of bounds: {limits}")
    return Reference(writer, reader, match["part"], stored)


def restored(part: Part, reference: Reference, content: bytes, where: str) -> Part:
    """The part that a reference stood for, of content whose digest was checked.

    Raises:
        InvalidArgument: the content is no text, or no JSON, where the reference says so.
    """
    metadata = {key: value for key, value in part.metadata.items() if key != LARGE_PARTS_URI}
    try:
        value = _READERS[reference.stored.kind](content)
    except UNREADABLE:
        raise _refusal(where, f"refers to content that is no {reference.stored.kind}") from None
    return msgspec.structs.replace(part, url=UNSET, metadata=metadata, **{reference.stored.kind: value})


_READERS: dict[str, Callable[[bytes], Any]] = {"raw": bytes, "text": bytes.decode, "data": msgspec.json.decode}


def differs(where: str) -> InvalidArgument:
    """The error for content that is not what its reference says."""
    return _refusal(where, "refers to content of another size or digest")


def gone(reference: Reference, where: str) -> PartNotFound:
    """The error for content that is not there (any more)."""
    return PartNotFound(
        f"the content of {where} is not there: it has expired, or {reference.writer} did not store all of it; "
        "send the message again"
    )


def _refusal(field: str, rule: str) -> InvalidArgument:
    return InvalidArgument(f"{field} {rule}", violations=(FieldViolation(field, rule),))
