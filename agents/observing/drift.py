"""What is otherwise than provisioning would make it now, of all that can be seen without changing anything."""

from __future__ import annotations

from datetime import UTC, datetime

from approvals.applying.provisioned import Provisioned
from approvals.git import Git
from bus.provision.drift.drift import PROVISION, Drift, Looked
from bus.provision.drift.files import certificates, generated, keys_of
from bus.provision.drift.serving import served, stored
from bus.surroundings import Home
from schemas.fleet import Fleet


async def drifted(fleet: Fleet, home: Home) -> tuple[Looked, bool]:
    """What was looked at and is amiss, and whether the server runs: what it has loaded is seen only then."""
    total, keys = keys_of(fleet, home)
    total += _rules(home) + stored(fleet, home) + certificates(fleet, home, datetime.now(UTC))
    if keys is not None:
        total += generated(fleet, home, keys)
    running = await served(fleet, home)
    return total + (running or Looked(0)), running is not None


def _rules(home: Home) -> Looked:
    """Under systemd: whether what provisioning holds to be in force is what the repository says."""
    if not home.provisioned.exists():
        return Looked(0)
    with Provisioned.of(home).git.scratch() as book, Git(home.repository).scratch() as source:
        if book.tree_of_fleet() == source.tree_of_fleet():
            return Looked(1)
    says = "says otherwise than what was provisioned last, and nobody's approval put it in force"
    return Looked(
        1, (Drift("rules", str(home.repository), says, f"git -C {home.repository} log main, then: {PROVISION}"),)
    )
