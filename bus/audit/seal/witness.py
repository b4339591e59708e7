"""A witness: it cosigns a checkpoint only when it continues the last one that it cosigned.

So a log cannot show one history to some and another to others, nor take anything back, without the witness's refusal.
It keeps its own last checkpoint and nothing else, and has it on the disk before it answers.

Source: C2SP tlog-witness (the checks, and the number that each answer has); tlog-cosignature.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bus.audit.tlog.add_checkpoint import AddCheckpoint
from bus.audit.tlog.checkpoint import Checkpoint
from bus.audit.tlog.errors import Malformed, NotVerified
from bus.audit.tlog.handover import Lineage
from bus.audit.tlog.note import Note, cosign
from bus.audit.tlog.proofs import verify_consistency
from bus.files import replace_durably
from schemas.errors import InvalidDocument

CHECKPOINT: Final = "checkpoint"
CONFLICT: Final = "conflict"
OK, BAD_REQUEST, FORBIDDEN, CONFLICTING, UNPROCESSABLE = 200, 400, 403, 409, 422


class Answer(NamedTuple):
    """`body` is the cosignature's line, or at 409 the size that the witness has; `reason` is for people."""

    status: int
    body: bytes = b""
    reason: str = ""


class Witness:
    """The witness `name` of one log; `folder` is its own."""

    def __init__(
        self, folder: Path, name: str, private: Ed25519PrivateKey, log: Lineage, now_s: Callable[[], float] = time.time
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file = folder / CHECKPOINT
        self._conflict = folder / CONFLICT
        self._name = name
        self._private = private
        self._log = log
        self._now_s = now_s
        self.last = self._load()
        """The checkpoint that was cosigned last."""

    def add_checkpoint(self, body: bytes) -> Answer:
        """Answer a request. Safe to repeat.

        Raises:
            OSError: the disk refuses; nothing was cosigned.
        """
        try:
            request = AddCheckpoint.parse(body)
            note = Note.parse(request.checkpoint)
            Checkpoint.parse(note.text)
        except Malformed as error:
            return Answer(BAD_REQUEST, reason=str(error))
        try:
            checkpoint, note = self._log.open(request.checkpoint)
        except NotVerified as error:
            return Answer(FORBIDDEN, reason=str(error))
        refusal = self._refusal(request, checkpoint)
        if refusal is not None:
            return refusal
        replace_durably(self._file, bytes(Note(note.text, note.signatures)))
        self.last = checkpoint
        return Answer(OK, cosign(note.text, self._name, self._private, int(self._now_s())).line().encode())

    def _refusal(self, request: AddCheckpoint, new: Checkpoint) -> Answer | None:
        size, root = (self.last.size, self.last.root) if self.last else (0, b"")
        if request.old > new.size:
            return Answer(BAD_REQUEST, reason=f"old size {request.old} is over the checkpoint's {new.size}")
        if request.old != size:
            return Answer(CONFLICTING, b"%d\n" % size, f"the last checkpoint here is of {size}, not {request.old}")
        if size == 0:
            return Answer(UNPROCESSABLE, reason="a proof from nothing is empty") if request.proof else None
        if new.size == size and new.root != root:
            self._keep_evidence(request.checkpoint)
            return Answer(CONFLICTING, b"%d\n" % size, f"a checkpoint of {size} with another root was cosigned here")
        try:
            verify_consistency(size, new.size, request.proof, root, new.root)
        except NotVerified as error:
            self._keep_evidence(request.checkpoint)
            return Answer(UNPROCESSABLE, reason=f"it does not continue the checkpoint of {size} cosigned here: {error}")
        return None

    def _keep_evidence(self, checkpoint: bytes) -> None:
        """The first refused checkpoint that the log signed: beside the last cosigned one, it shows two histories."""
        if not self._conflict.exists():
            replace_durably(self._conflict, checkpoint)

    def _load(self) -> Checkpoint | None:
        try:
            return self._log.open(self._file.read_bytes())[0]
        except FileNotFoundError:
            return None
        except NotVerified as error:
            raise InvalidDocument(
                f"{self._file} is not a checkpoint of the log that this witness serves: {error}; restore it, or ask "
                "the auditors before you remove it: a witness that forgets can be shown another history"
            ) from None
