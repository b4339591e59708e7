"""What is hashed for one message of the stream.

Five fields, each behind its length as four bytes, big end first: the stream sequence in decimal, the server's time as
it gives it (`Nats-Time-Stamp`, RFC 3339), the subject, the headers as they are stored, and the payload.

A direct get puts lines of its own behind the stored headers (`Nats-Stream` first); they are cut off again, and what
they say is what counts, whatever a producer wrote before them. A message without headers has an empty field; so has
one with an empty block of them, which the server does not tell apart.

Source: RFC 6962 §2.1 (leaf data is the log's own choice); ADR-31; measured on nats-server 2.15.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from bus.audit.tlog.errors import Malformed
from bus.audit.tlog.merkle import leaf_hash

_VERSION: Final = b"NATS/1.0"
_SERVERS = re.compile(
    rb"\r\nNats-Stream: [^\r\n]+"
    rb"\r\nNats-Subject: (?P<subject>[^\r\n]+)"
    rb"\r\nNats-Sequence: (?P<sequence>[1-9][0-9]{0,18})"
    rb"\r\nNats-Time-Stamp: (?P<time>[0-9TZ:.+-]+)"
    rb"(?:\r\nNats-[A-Za-z-]+: [^\r\n]*)*\r\n\r\n"
)
_PLAIN = re.compile(rb"[1-9][0-9]{0,18}")
_LENGTH_BYTES = 4


class Leaf(NamedTuple):
    """One stored message; `headers` is the whole block, version line and blank line included, or empty."""

    sequence: int
    time: bytes
    subject: bytes
    headers: bytes
    payload: bytes

    @classmethod
    def of_answer(cls, block: bytes, payload: bytes) -> Leaf:
        """From the header block and the payload that a direct get answered with.

        Raises:
            Malformed: the server's own lines are not at the end of the block.
        """
        cut = block.rfind(b"\r\nNats-Stream: ")
        match = _SERVERS.fullmatch(block, cut) if cut >= 0 else None
        if match is None:
            raise Malformed("this is not what a server answers a direct get with")
        own = block[:cut]
        headers = b"" if own == _VERSION else own + b"\r\n\r\n"
        return cls(int(match["sequence"]), match["time"], match["subject"], headers, payload)

    @classmethod
    def parse(cls, data: bytes) -> Leaf:
        """Read leaf data.

        Raises:
            Malformed: it is none.
        """
        fields, at = [], 0
        while at < len(data):
            begin = at + _LENGTH_BYTES
            at = begin + int.from_bytes(data[at:begin])
            fields.append(data[begin:at])
        if at != len(data) or len(fields) != len(cls._fields) or not _PLAIN.fullmatch(fields[0]):
            raise Malformed("this is not the data of a leaf: five fields, each behind its length")
        return cls(int(fields[0]), *fields[1:])

    @property
    def place(self) -> int:
        """Its place in the tree, from 0."""
        return self.sequence - 1

    def data(self) -> bytes:
        """The bytes that are hashed."""
        fields = (b"%d" % self.sequence, self.time, self.subject, self.headers, self.payload)
        return b"".join([len(one).to_bytes(_LENGTH_BYTES) + one for one in fields])

    def hash(self) -> bytes:
        """The leaf's hash."""
        return leaf_hash(self.data())
