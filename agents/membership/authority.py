"""Another authority for the server's certificate, with whoever runs the fleet."""

from __future__ import annotations

from agents.membership.hosts import alone, hosted
from agents.membership.moving import Say
from agents.membership.repository import fleet_text
from approvals.git import Git
from approvals.repository import rules_in_force
from bus.provision.authority import begin, end, require_own_authority, require_shown, take_over
from bus.provision.membership.administering import administering
from bus.provision.membership.changing import Rotated, tell
from bus.provision.provision import write_files
from bus.surroundings import Home
from schemas import names
from schemas.ids import sha256_hex


async def change_authority(home: Home, by: str, say: Say, *, is_finishing: bool) -> list[str]:
    """Begin, and go on to the end where nobody elsewhere has to be told first, or everybody was; returns what is left.

    Raises:
        NotProvisioned: there is no authority of this fleet's own; or a server does not show the new certificate.
    """
    git = Git(home.repository)
    fleet, digest = rules_in_force(git).fleet, sha256_hex(fleet_text(git).encode())
    require_own_authority(fleet)
    with alone(home):
        begin(fleet, home)
    say("everybody who connects from now on believes the old authority and the new one")
    if not (is_finishing or fleet.nats.is_local):
        return [
            f"copy {home.ca} to each machine from which somebody connects, in the place of the one there",
            "then: agentbus fleet rotate --ca --finish",
        ]
    async with hosted(home, fleet) as host:
        take_over(home)
        say("the server's certificate is signed by the new authority")
        async with administering(fleet, home, write_files(fleet, home), host.servers) as admins:
            await require_shown(fleet, home)
            old, new = end(home)
            say("the old authority is not believed any more")
            await tell(home, admins[names.ACCOUNT_AUDIT], [Rotated("authority", old, new, by, digest)])
    return (
        [] if fleet.nats.is_local else [f"copy {home.ca} to those machines once more: it has the new authority alone"]
    )
