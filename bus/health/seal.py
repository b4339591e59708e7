"""How the sealing of the trail goes: what the sealer knows of its last checkpoint, and what a witness cosigned."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from bus.audit.seal.sealed_log import SealedLog
from bus.audit.seal.sealer import Sealer
from bus.audit.seal.witness import Witness
from bus.health.checks import OK, Check, Finding, State
from bus.health.numbers import Sample

LATE_S: Final = 60.0
_SLOW_S: Final = 300.0


def check_of(sealer: Sealer) -> Check:
    """Whether checkpoints come when they are due; a start that reads a long trail again takes its time."""

    def check() -> Finding:
        late_s = sealer.late_s
        if late_s < LATE_S:
            return OK
        state: State = "failed" if late_s >= _SLOW_S else "degraded"
        return Finding(state, f"a checkpoint is due since {late_s:.0f} s; see the log of the sealer")

    return check


def look_at(sealer: Sealer, log: SealedLog, file: Path) -> Iterable[Sample]:
    """The last checkpoint, whose file is `file`."""
    yield Sample("agentbus_unsealed_messages", (), sealer.unsealed)
    if log.sealed is None:
        return
    yield Sample("agentbus_checkpoint_size", (), log.sealed.size)
    try:
        signed_s = file.stat().st_mtime
    except OSError:
        return
    yield Sample("agentbus_checkpoint_age_seconds", (), max(0.0, time.time() - signed_s))


def look_at_witness(witness: Witness) -> Iterable[Sample]:
    """What it cosigned last."""
    if witness.last is not None:
        yield Sample("agentbus_cosigned_size", (), witness.last.size)
