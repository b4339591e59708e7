"""New keys for who seals the trail, while nobody signs: sealer and witnesses each hand over to a key of their own.

See `bus.provision.seal_keys` for what an interruption leaves, and `bus.audit.tlog.handover` for what is signed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final

from bus.audit.read import Reader
from bus.audit.seal.policy_file import log_of
from bus.audit.seal.sealed_log import last_sealed
from bus.audit.seal.sealer import LOG
from bus.audit.tlog.checkpoint import Checkpoint
from bus.audit.tlog.errors import NotVerified
from bus.audit.tlog.handover import Handover
from bus.audit.tlog.merkle import CompactRange
from bus.audit.tlog.note import Key
from bus.audit.tlog.policy import Policy
from bus.errors import NotProvisioned
from bus.provision.membership.administering import administering
from bus.provision.membership.changing import Rotated, tell
from bus.provision.provision import Running, write_files
from bus.provision.seal_keys import replace_seal_key
from bus.provision.seal_policy import seal_policy_of
from bus.surroundings import Home
from schemas import names, subjects
from schemas.fleet import Fleet
from schemas.ids import sha256_hex

_TOLD_WITHIN_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Resealing:
    """Whose keys are to change, who asked for it, and the digest of the fleet file."""

    principals: Sequence[str]
    by: str
    fleet: str


async def reseal(
    fleet: Fleet,
    home: Home,
    servers: Sequence[Running],
    wanted: Resealing,
    halted: AbstractAsyncContextManager[bool],
) -> Sequence[Handover]:
    """Give new keys for sealing to the sealer or to witnesses. While `halted` is open the sealer does not run, and who
    needs the new keys is started when it is closed; it says whether the sealer ran.

    Raises:
        NotProvisioned: the sealer's state is not on this host, or it did not publish the hand-overs: it does when it runs.
        AuditUnavailable: the trail does not take the events. What `halted` raises.
    """
    async with administering(fleet, home, write_files(fleet, home), servers) as admins:
        trail = Reader(admins[names.ACCOUNT_AUDIT])
        async with halted as is_sealing:
            policy = seal_policy_of(fleet, home)
            at = await _signed_last(trail, home, policy)
            begin = (await trail.bounds()).last + 1
            try:
                made = [_replaced(home, policy, principal, at) for principal in wanted.principals]
            finally:
                write_files(fleet, home)
        if is_sealing:
            await _until_told(trail, begin, {one.note for one in made})
        told = [
            Rotated(one.name, _digest(one.old), _digest(one.new), wanted.by, wanted.fleet, one.at.size) for one in made
        ]
        await tell(home, admins[names.ACCOUNT_AUDIT], told)
    return made


def _replaced(home: Home, policy: Policy, principal: str, at: Checkpoint) -> Handover:
    keys: Mapping[str, Key] = {names.SEALER: policy.logs[0], **policy.witnesses}
    return replace_seal_key(home.credentials(principal) / names.SEAL_CREDENTIAL, keys[principal], at, int(time.time()))


async def _signed_last(trail: Reader, home: Home, policy: Policy) -> Checkpoint:
    """What the sealer signed last, also when it did not get as far as the stream.

    Raises:
        NotProvisioned: the stream has a later one.
    """
    log = log_of(policy)
    signed, _ = last_sealed(home.state(names.SEALER) / LOG, log)
    at = signed or Checkpoint(log.name, 0, CompactRange().root())
    last = await trail.last_on(subjects.SEAL)
    async for record in trail.records(max(1, last), until=last):
        try:
            published = log.open(record.payload)[0].size
        except NotVerified:
            continue
        if published > at.size:
            raise NotProvisioned(
                f"the trail has a checkpoint of {published}, and the sealer's folder here, {home.state(names.SEALER)}, "
                f"knows of one of {at.size} only: run this where the sealer runs, or put its folder back"
            )
    return at


async def _until_told(trail: Reader, begin: int, notes: set[bytes]) -> None:
    """Return when the sealer has published all of them.

    Raises:
        NotProvisioned: it has not.
    """
    deadline = time.monotonic() + _TOLD_WITHIN_S
    while time.monotonic() < deadline:
        if notes <= {record.payload async for record in trail.records(begin, subject=subjects.SEAL)}:
            return
        await asyncio.sleep(0.1)
    raise NotProvisioned(
        "the new keys are in place, and the sealer did not publish the hand-over within a minute; it does when it runs, "
        "and until then agentbus audit verify cannot tell: see agentbus logs sealer"
    )


def _digest(key: Key) -> str:
    return sha256_hex(key.public)
