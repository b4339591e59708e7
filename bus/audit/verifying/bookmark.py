"""Where a verification was interrupted, in a file of the auditor's own, so that the next run goes on there.

The file holds the position, what was known of each slot there, and a digest of every message up to it. A run that goes
on reads those messages again and compares the digest and every checkpoint, but does not decode them nor check their
signatures again: so it says of the whole stream, as it is now, what a run without an interruption would. It rests on
the file: who can write to it is believed as the auditor is. Keep it where operators of the server cannot write.

A state is bound to the stream (when it was created), to the log (its origin), and to the keys that were trusted: of
another stream, or with other keys, it is refused. A run that found something is never gone on with.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from bus.audit.read import Bounds
from bus.audit.tlog.policy import Policy
from bus.audit.trust import Trust, dump_trust
from bus.audit.verifying.chain import Slot
from bus.audit.verifying.verify import NOWHERE, Begin, Verifier
from bus.files import replace_durably
from schemas.ids import sha256_hex

_FORMAT: Final = 1
EVERY_S: Final = 5.0
"""So much work a run that is killed loses."""


class Identity(msgspec.Struct, frozen=True):
    """Which stream, which log, and whose keys were believed."""

    created: str
    origin: str
    keys: str

    @classmethod
    def of(cls, bounds: Bounds, policy: Policy, trust: Trust) -> Identity:
        """Of a stream as it is now."""
        keys = sha256_hex(dump_trust(trust) + str(policy).encode())
        return cls(bounds.created, policy.logs[0].name, keys)


class _State(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file."""

    format: int
    identity: Identity
    saved: str
    position: int
    seen: str
    events: int
    slots: dict[str, Slot]


class Bookmark:
    """The file at `path`. A disk that refuses it keeps nobody from verifying: then there is nothing to go on with."""

    def __init__(
        self,
        path: Path,
        identity: Identity,
        *,
        every_s: float = EVERY_S,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._identity = identity
        self._every_s = every_s
        self._now = now
        self._due_at = now() + every_s
        self.refused = ""
        """Why what the file holds was not used."""
        self.problem = ""
        """Why nothing can be saved."""

    def begin(self) -> Begin:
        """Where to go on; at the start of the stream when there is nothing to go on with."""
        try:
            state = msgspec.json.decode(self._path.read_bytes(), type=_State)
        except FileNotFoundError:
            return NOWHERE
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            self.refused = f"{self._path} cannot be read: {error}"
            return NOWHERE
        if (state.format, state.identity) != (_FORMAT, self._identity):
            self.refused = f"{self._path} is of another stream, or of other keys"
            return NOWHERE
        rests_on = f"an earlier run checked them, until it was interrupted at {state.saved}; read again, and the same"
        return Begin(state.position, rests_on, slots=state.slots, seen=state.seen, events=state.events)

    def offer(self, verifier: Verifier) -> None:
        """Save where the verifier is, if that was long ago."""
        if self._now() >= self._due_at:
            self.save(verifier)

    def save(self, verifier: Verifier) -> bool:
        """Save where the verifier is, and say whether; not before it is beyond its begin, nor after it found something."""
        self._due_at = self._now() + self._every_s
        position = verifier.position - 1
        if verifier.found or position <= verifier.begin.after:
            return False
        state = _State(
            format=_FORMAT, identity=self._identity, saved=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            position=position, seen=verifier.seen, events=verifier.events, slots=verifier.slots,
        )  # fmt: skip
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            replace_durably(self._path, msgspec.json.encode(state))
        except OSError as error:
            self.problem = f"how far this run came cannot be saved: {error}"
            return False
        return True

    def clear(self) -> None:
        """Forget it: the run ended, or is to begin anew."""
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            self.problem = f"how far a run came cannot be forgotten: {error}"
