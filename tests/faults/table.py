"""The table: a row per step of an event's way, a column per way to fail, a cell per outcome that the design promises.

A text in a cell says why there is nothing to test.
"""

from __future__ import annotations

from enum import Enum
from typing import Final


class Outcome(Enum):
    """What the events of the burst with the fault come to. None is ever on the trail twice."""

    KEPT = "taken, and confirmed by the process itself"
    REFUSED = "`emit` fails closed for what the fault hit; that is not on the trail, and the process goes on"
    STOPPED = "taken, never confirmed; `emit` fails closed from then on, and the process is asked to leave; the next one sends it"
    DEAD = "the process is dead; what was taken, the next process sends"
    NEVER = "the process is dead before anything was taken; nothing of the burst is on the trail"
    TORN = "the process is dead in the middle of a write; what whole events that wrote are on the trail"
    WRITTEN = "the process is dead before `emit` could return; the burst is on the trail all the same"


KEPT, REFUSED, STOPPED, DEAD, NEVER, TORN, WRITTEN = Outcome
COLUMNS: Final = (
    "fails",
    "in part",
    "persisted",
    "late",
    "too late",
    "crossing",
    "kill before",
    "kill within",
    "kill after",
)
"""`persisted`: done, and an error all the same. `late`: slow, within its time. `too late`: given up and done once more;
then the first one arrives. `crossing`: given up, looked up in vain; then it arrives, before it is done once more."""

_WAITED = "nobody gives up waiting for it"
_AT_ONCE = "done or not, never in part"
_TCP = "the server takes a message whole or not at all: as before"
_FORGOTTEN = "nobody waits for it any more: as too late"
_STORE = "the server's own store, whose damage is evidence: tests/contract"
_NO_BATCH = "a batch of one message has no such message"

TABLE: Final[dict[str, tuple[Outcome | str, ...]]] = {
    #                     fails    in part   persisted late  too late crossing    kill before within    after
    "spool write":        (REFUSED, REFUSED,  REFUSED, KEPT, _WAITED, _WAITED,    NEVER,      TORN,     WRITTEN),
    "spool fsync":        (STOPPED, _AT_ONCE, STOPPED, KEPT, _WAITED, _WAITED,    DEAD,       _AT_ONCE, DEAD),
    "first message":      (KEPT,    _TCP,     KEPT,    KEPT, KEPT,    KEPT,       DEAD,       _TCP,     DEAD),
    "middle message":     (KEPT,    _TCP,     KEPT,    KEPT, KEPT,    KEPT,       DEAD,       _TCP,     DEAD),
    "committing message": (KEPT,    _TCP,     KEPT,    KEPT, KEPT,    KEPT,       DEAD,       _TCP,     DEAD),
    "ack":                (KEPT,    _TCP,     KEPT,    KEPT, KEPT,    _FORGOTTEN, DEAD,       _TCP,     DEAD),
    "head":               (KEPT,    KEPT,     KEPT,    KEPT, _WAITED, _WAITED,    DEAD,       DEAD,     DEAD),
    "cut":                (KEPT,    _AT_ONCE, KEPT,    KEPT, _WAITED, _WAITED,    DEAD,       _AT_ONCE, DEAD),
    "server":             (KEPT,    _STORE,   KEPT,    KEPT, KEPT,    _FORGOTTEN, DEAD,       _STORE,   DEAD),
}  # fmt: skip
NOT_IN: Final = {"one": {"first message": _NO_BATCH, "middle message": _NO_BATCH}}
"""Form to the rows that it does not have."""


class Fate(Enum):
    """What becomes of a sealer, a witness, or a producer that starts. Its trail is whole afterwards, whatever it is."""

    ON = "the process goes on and does all it has to"
    ENDS = "the disk refuses: the process ends with that error, and the next one does it"
    LOST = "the process is dead; the next one does it"


ON, ENDS, LOST = Fate
FATE_COLUMNS: Final = ("fails", "persisted", "late", "kill before", "kill after")
_IS_ACK = "stored, and no answer: that is `ack`"
_IS_PUBLISH = "the message is stored or not: as publish"
SEALER_TABLE: Final[dict[str, tuple[Fate | str, ...]]] = {
    #                     fails persisted late  kill before  kill after
    "nodes write":        (ENDS, ENDS,    ON,   LOST,        LOST),
    "nodes fsync":        (ENDS, ENDS,    ON,   LOST,        LOST),
    "sealed.json fsync":  (ENDS, ENDS,    ON,   LOST,        LOST),
    "sealed.json":        (ENDS, ENDS,    ON,   LOST,        LOST),
    "checkpoint file":    (ENDS, ENDS,    ON,   LOST,        LOST),
    "publish":            (ON,   _IS_ACK, ON,   LOST,        LOST),
    "ack":                (ON,   ON,      ON,   _IS_PUBLISH, _IS_PUBLISH),
}  # fmt: skip
WITNESS_TABLE: Final[dict[str, tuple[Fate | str, ...]]] = {
    #                     fails persisted late  kill before  kill after
    "witness state":      (ON,   ON,      ON,   LOST,        LOST),
    "witness answer":     (ON,   ON,      ON,   LOST,        LOST),
}  # fmt: skip
RESTART_TABLE: Final[dict[str, tuple[Fate | str, ...]]] = {
    #                     fails persisted late  kill before  kill after
    "ask":                (ON,   ON,      ON,   LOST,        LOST),
    "load":               (ENDS, ENDS,    ON,   LOST,        LOST),
    "cut":                (ON,   ON,      ON,   LOST,        LOST),
    "committing message": (ON,   ON,      ON,   LOST,        LOST),
}  # fmt: skip
LEFT: Final = {"unsent": ("ask", "load", "committing message"), "stored": ("ask", "load", "cut")}
"""What an earlier process left in its spool, to the steps that a start then takes: what is stored is cut, the rest is sent."""
