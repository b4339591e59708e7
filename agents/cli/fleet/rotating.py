"""`agentbus fleet rotate`: which keys, and what is left to do for those that cannot be replaced now."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from agents.cli.fleet.membership import account, home_of, say, tell
from agents.cli.run import run_async
from agents.membership.authority import change_authority
from agents.membership.rekeying import rotate as rekeyed
from agents.membership.roles import members_of
from agents.people import fleet_of
from bus.surroundings import Home
from schemas.errors import InvalidDocument
from schemas.fleet import Fleet


@dataclass(frozen=True, slots=True)
class Wanted:
    """As typed: one member, everybody, the store's key, or the authority's."""

    name: str = ""
    is_all: bool = False
    store: bool = False
    ca: bool = False


def rotate(root: Path, wanted: Wanted, *, is_finishing: bool) -> None:
    """Replace the keys that are named.

    Raises:
        InvalidDocument: none is named, or more than one kind.
    """
    if [bool(wanted.name), wanted.is_all, wanted.store, wanted.ca].count(True) != 1 or (is_finishing and not wanted.ca):
        raise InvalidDocument("name one member, or give --all, --store or --ca (and --finish with that)")
    if wanted.store:
        from agents.cli.fleet.store import rotate_store

        rotate_store(root)
        return
    home = home_of(root)
    steps = [] if wanted.ca else _members(home, wanted.name)
    if wanted.ca or (wanted.is_all and _has_authority(fleet_of(home))):
        steps += run_async(change_authority(home, account(), say, is_finishing=is_finishing))
    if wanted.is_all:
        steps += _left(fleet_of(home), home)
    tell(steps)


def _members(home: Home, name: str) -> list[str]:
    done = run_async(rekeyed(home, [name] if name else list(members_of(fleet_of(home))), account(), say))
    print(f"new keys: {', '.join(done.members)}; the old ones are refused")
    print(f"started again: {', '.join(done.restarted) or 'nobody, as nothing of them ran'}")
    return list(done.steps)


def _has_authority(fleet: Fleet) -> bool:
    return fleet.nats.has_tls and not fleet.nats.given_files


def _left(fleet: Fleet, home: Home) -> list[str]:
    """What has a key that cannot be replaced while the fleet runs, or is not the product's."""
    left = []
    if fleet.nats.encryption and not fleet.nats.cluster:
        left.append("the store's key, with the fleet stopped: agentbus fleet rotate --store")
    if fleet.nats.given_files:
        left.append(f"the server's certificate is your own: replace {fleet.nats.given_files.cert_file}")
    if fleet.nats.cluster:
        secret = home.credentials("cluster") / "route.secret"
        left.append(f"what the servers know each other by: rm {secret}, agentbus provision, and restart all three")
    return left
