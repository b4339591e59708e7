"""Proof files (`.tlog-proof`): that an entry is in a log, checked with nothing but public keys.

Source: C2SP tlog-proof v1.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Final

from bus.audit.tlog.checkpoint import NUMBER
from bus.audit.tlog.errors import Malformed
from bus.audit.tlog.note import decoded, decoded_hashes
from bus.audit.tlog.policy import Policy
from bus.audit.tlog.proofs import verify_inclusion

HEADER: Final = "c2sp.org/tlog-proof@v1"
_LONGEST_PROOF = 63


@dataclass(frozen=True, slots=True)
class ProofFile:
    """Leaf `index`, the hashes that lead to the root, and the checkpoint with that root as it was published.

    `extra` comes with the file and is believed only as far as the leaf hash that is computed from it.
    """

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes = b""

    def __bytes__(self) -> bytes:
        lines = [HEADER]
        if self.extra:
            lines.append(f"extra {base64.b64encode(self.extra).decode()}")
        lines.append(f"index {self.index}")
        lines.extend(base64.b64encode(one).decode() for one in self.hashes)
        return ("\n".join(lines) + "\n\n").encode() + self.checkpoint

    @classmethod
    def parse(cls, data: bytes) -> ProofFile:
        """Read a proof file.

        Raises:
            Malformed: it is none.
        """
        head, blank, checkpoint = data.partition(b"\n\n")
        try:
            lines = head.decode("ascii").split("\n")
        except UnicodeDecodeError:
            lines = []
        if not blank or lines[:1] != [HEADER]:
            raise Malformed(f"not a proof file: its first line is not {HEADER}")
        extra = b""
        if lines[1:2] and lines[1].startswith("extra "):
            extra = decoded(lines.pop(1).removeprefix("extra "))
            if not extra:
                raise Malformed("the extra data of the proof file is not base64")
        word, _, index = lines[1].partition(" ") if lines[1:] else ("", "", "")
        if word != "index" or not NUMBER.fullmatch(index):
            raise Malformed("the proof file does not name the index of its entry")
        return cls(int(index), tuple(decoded_hashes(lines[2:], _LONGEST_PROOF)), checkpoint, extra)

    def verify(self, leaf: bytes, policy: Policy) -> dict[str, int]:
        """Check that the leaf with this hash is in a log of `policy`, witnessed as it demands; returns who, and when.

        Raises:
            Malformed, NotVerified: it is not shown.
        """
        checkpoint, note = policy.log_of(self.checkpoint).open(self.checkpoint)
        witnesses = policy.require_quorum(note)
        verify_inclusion(leaf, self.index, checkpoint.size, self.hashes, checkpoint.root)
        return witnesses
