"""New keys for who seals the trail, with whoever runs the fleet stopping and starting them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from agents.membership.hosts import CLUSTER, Host
from agents.membership.moving import Say
from bus.provision.membership.resealing import Resealing, reseal
from bus.surroundings import Home
from schemas import names
from schemas.fleet import Fleet


def sealing(fleet: Fleet, members: Sequence[str]) -> list[str]:
    """Those of these members that have a key that seals the trail."""
    return [name for name in (names.SEALER, *fleet.witnesses) if name in members]


async def resealed(home: Home, fleet: Fleet, host: Host, wanted: Resealing, say: Say) -> list[str]:
    """Do it; returns what is left for a person to do. Raises as `reseal`, and RestartFailed."""
    if host.name == CLUSTER:  # who runs the sealer is not known, and it must not sign meanwhile
        return [
            f"keys that seal, with the sealer and all servers stopped: agentbus fleet rotate {wanted.principals[0]}"
        ]
    elsewhere: list[str] = []
    say(f"the sealer stops, and the keys that seal change: {', '.join(wanted.principals)}")
    await reseal(fleet, home, host.servers, wanted, _halted(host, fleet, wanted.principals, elsewhere))
    steps = [f"give auditors elsewhere the keys that seal the trail now: {home.seal_policy}"]
    return steps + [
        f"where {witness} runs: give it {home.seal_policy}, and {home.credentials(witness) / names.SEAL_CREDENTIAL} where "
        "that has changed, and start it again"
        for witness in elsewhere
    ]


@asynccontextmanager
async def _halted(host: Host, fleet: Fleet, principals: Sequence[str], elsewhere: list[str]) -> AsyncIterator[bool]:
    """Witnesses first have the new policy: they are asked as soon as the sealer runs."""
    is_sealing = await host.halt(fleet, names.SEALER)
    try:
        yield is_sealing
    finally:
        for witness in fleet.witnesses if names.SEALER in principals else sealing(fleet, principals):
            elsewhere += [] if await host.restart(fleet, witness) or not is_sealing else [witness]
        if is_sealing:
            await host.resume(fleet, names.SEALER)
