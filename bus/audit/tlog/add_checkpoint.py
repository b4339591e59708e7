"""What a log sends to a witness: its new checkpoint, and the proof that it continues the one that the witness knows.

Source: C2SP tlog-witness, add-checkpoint (request body).
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Final

from bus.audit.tlog.checkpoint import NUMBER
from bus.audit.tlog.errors import Malformed
from bus.audit.tlog.note import decoded_hashes

_LONGEST_PROOF: Final = 63


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """`old` is the size that the proof starts from; the witness cosigned that one last."""

    old: int
    proof: tuple[bytes, ...]
    checkpoint: bytes

    def __bytes__(self) -> bytes:
        lines = [f"old {self.old}", *(base64.b64encode(one).decode() for one in self.proof)]
        return ("\n".join(lines) + "\n\n").encode() + self.checkpoint

    @classmethod
    def parse(cls, data: bytes) -> AddCheckpoint:
        """Read a request.

        Raises:
            Malformed: it is none.
        """
        head, blank, checkpoint = data.partition(b"\n\n")
        try:
            first, *lines = head.decode("ascii").split("\n")
        except UnicodeDecodeError:
            raise Malformed("the head of the request is not ASCII") from None
        word, _, old = first.partition(" ")
        if not blank or word != "old" or not NUMBER.fullmatch(old):
            raise Malformed("the request does not begin with `old` and a size")
        return cls(int(old), tuple(decoded_hashes(lines, _LONGEST_PROOF)), checkpoint)
