"""The trail: is it sealed, is it as provisioned, does what waits for it get there?"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agents.doctor.finding import Finding, doubtful, fine, wrong
from agents.observing import Place
from agents.people import auditor
from bus.audit.emit import SPOOL_BYTES
from bus.audit.seal.check import read_note
from bus.audit.seal.policy_file import load_policy
from bus.errors import ConnectionRefused
from bus.jetstream import call
from bus.provision.streams import streams_of
from schemas import names

_LATE_S = 60.0
"""The sealer signs ten seconds after something happened; so much later it is stuck."""
_WAITS_BYTES = SPOOL_BYTES // 4
_SPOOLS = "state/*/audit/spool"


async def checkpoint(place: Place) -> Sequence[Finding]:
    """What the trail holds is sealed, and every witness has cosigned it."""
    path = place.home.state(names.SEALER) / "checkpoint"
    policy = load_policy(place.home.seal_policy)
    if not path.exists():
        return [doubtful("nothing was sealed yet", "wait ten seconds; agentbus logs sealer says what it waits for")]
    sealed, note = read_note(path, policy)
    age_s = place.now_s - path.stat().st_mtime
    cosigners = policy.witnessed(note)
    lacking = sorted(set(place.fleet.witnesses) - set(cosigners))
    found = await _unsealed(place, sealed.size, age_s)
    if lacking:
        unit = f"agentbus-witness@{lacking[0]}"
        found.append(
            doubtful(f"{', '.join(lacking)} did not cosign the last checkpoint", place.start(lacking[0], unit))
        )
    return found or [fine(f"sealed up to {sealed.size}, {age_s:.0f} s ago, cosigned by {', '.join(cosigners)}")]


async def _unsealed(place: Place, sealed: int, age_s: float) -> list[Finding]:
    """Late is a seal only where something has happened since, a while ago."""
    info = await _info(place)
    if info is None:
        return [
            doubtful(f"sealed up to {sealed}, {age_s:.0f} s ago; the trail itself cannot be seen", "start the server")
        ]
    # what the sealer tells of its own work follows each checkpoint at once, and is sealed by the next
    waits_s = _seconds(info["state"]["last_ts"]) - (place.now_s - age_s)
    if waits_s > _LATE_S:
        behind = int(info["state"]["last_seq"]) - sealed
        again = place.start(names.SEALER, "agentbus-sealer")
        return [wrong(f"{behind} messages are not sealed, the last checkpoint is {age_s:.0f} s old", again)]
    return []


def _seconds(rfc3339: str) -> float:
    return datetime.datetime.fromisoformat(rfc3339).timestamp()


async def stream(place: Place) -> Sequence[Finding]:
    """The trail's stream keeps everything, as provisioned."""
    info = await _info(place)
    if info is None:
        return [doubtful("the trail cannot be seen", "start the server, then run this again")]
    wanted = next(stream.config for stream in streams_of(place.fleet) if stream.name == names.AUDIT)
    other = [key for key, value in wanted.items() if info["config"].get(key, type(value)()) != value]
    if other:
        key = other[0]
        says = f"stream {names.AUDIT} has {key} {info['config'].get(key)!r} where {wanted[key]!r} is provisioned"
        return [wrong(says, f"find out who changed it, then back it up and provision it anew: {place.provision()}")]
    since = datetime.datetime.fromisoformat(info["created"]).date()
    return [fine(f"{info['state']['messages']:,} events since {since}")]


async def _info(place: Place) -> dict[str, Any] | None:
    try:
        async with auditor(place.home, place.fleet) as connection:
            return await call(connection, f"STREAM.INFO.{names.AUDIT}")
    except ConnectionRefused:
        return None


async def spools(place: Place) -> Sequence[Finding]:
    """No process has much that the stream has not taken."""
    waiting = {path.parent.parent.name: path.stat().st_size for path in _spools(place)}
    found = [
        wrong(
            f"{name} has {size // 2**20} MiB of events that the trail has not taken",
            "is the server up, and the process?",
        )
        for name, size in waiting.items()
        if size > _WAITS_BYTES
    ]
    return found or [fine(f"{len(waiting)} spools, {sum(waiting.values()) >> 10:,} KiB in all")]


def _spools(place: Place) -> list[Path]:
    return sorted(place.home.root.glob(_SPOOLS))
