"""New keys for members, with whoever runs the fleet starting their processes again in between."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from agents.membership.hosts import hosted
from agents.membership.moving import Say
from agents.membership.repository import fleet_text
from agents.membership.resealing import resealed, sealing
from agents.membership.roles import PEOPLE, role_of
from approvals.applying.provisioned import note_by_hand
from approvals.git import Git
from approvals.repository import rules_in_force
from bus.provision.membership.changing import Event
from bus.provision.membership.rekeying import key_files, rekey
from bus.provision.membership.resealing import Resealing
from bus.surroundings import Home
from schemas import names
from schemas.ids import sha256_hex


@dataclass(frozen=True, slots=True)
class Rekeyed:
    """What was done: whose keys are new, whose processes were started again, and what is left to do."""

    members: Sequence[str]
    restarted: Sequence[str]
    steps: Sequence[str]


async def rotate(home: Home, members: Sequence[str], by: str, say: Say) -> Rekeyed:
    """Give new keys to `members` of the fleet in force; the old ones are refused when it returns.

    Raises:
        InvalidDocument: one is not in the fleet. NotProvisioned, RestartFailed: the old keys count again.
    """
    git = Git(home.repository)
    fleet, digest = rules_in_force(git).fleet, sha256_hex(fleet_text(git).encode())
    roles = {name: role_of(fleet, name) for name in members}
    events = [Event("rekeyed", name, role, by, digest) for name, role in roles.items()]
    restarted = []
    async with hosted(home, fleet) as host:

        async def use(member: str) -> None:
            say(f"{member} takes its new key")
            if await host.restart(fleet, member):
                restarted.append(member)

        say("new keys, which are let in beside the old ones")
        await rekey(fleet, home, host.servers, use, events)
        steps = []
        if seals := sealing(fleet, members):
            steps = await resealed(home, fleet, host, Resealing(seals, by, digest), say)
    note_by_hand(home, time.time_ns())
    copies = [name for name, role in roles.items() if role in PEOPLE]
    steps += [
        f"give {file.principal} its new key, wherever a copy is: {file.path}" for file in key_files(fleet, home, copies)
    ]
    if any((home.credentials(name) / names.AUDIT_CREDENTIAL).exists() for name in roles):
        steps.append(f"give auditors elsewhere the trust file with the keys of now: {home.trust}")
    return Rekeyed(list(roles), restarted, steps)
