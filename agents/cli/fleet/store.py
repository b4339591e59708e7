"""`agentbus fleet rotate --store`: all that the stopped fleet's server keeps, under a new key."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from agents.cli.audit.verify import Wanted, conclude, verified_by
from agents.cli.fleet.membership import account
from agents.cli.run import log_quietly, run_async
from agents.installing.settle import settle
from agents.membership.hosts import alone
from agents.people import fleet_of
from bus.audit.read import Reader
from bus.audit.verifying.verify import Report
from bus.errors import NotProvisioned
from bus.provision.closed import administered
from bus.provision.membership.changing import Rotated, tell
from bus.provision.provision import write_files
from bus.provision.store_copy import Admins, both_stores, copy_store, differences, require_room_for_both
from bus.provision.store_key import digest_of, make_next_key
from bus.provision.store_switch import commit, end, go_on, is_told, key_before, undo
from bus.surroundings import Home
from schemas import names
from schemas.fleet import Fleet


def rotate_store(root: Path) -> None:
    """Do it, or go on with it; a trail that is not sound is left alone, and the exit code is its.

    Raises:
        NotProvisioned: nothing is encrypted, there is no room, or the copy is not the same; the old store is as it was.
        NoServer: the fleet runs.
    """
    log_quietly()
    home = Home(root.resolve())
    with alone(home):
        fleet = fleet_of(home)
        go_on(home)
        if is_told(home):
            report = run_async(_rotated(home, fleet))
            if report.verdict != "sound":
                print("agentbus: the store's key was not replaced; of the trail is to be said:", file=sys.stderr)
                conclude(report, as_json=False)
        run_async(_told(home, fleet))
        settle(home.root, fleet)
    print("the store is under a new key, with every stream and consumer as it was; the old one is gone")
    print("next:")
    print(f"  keep a copy of the new key elsewhere: {home.store_key}")
    print("  start the fleet: agentbus up, or systemctl start agentbus.target")


async def _rotated(home: Home, fleet: Fleet) -> Report:
    """The new store counts when this returns with a sound trail; else the old one is what it was."""
    if not fleet.nats.encryption:
        raise NotProvisioned("this fleet's store is not encrypted (nats.encryption: false); there is no key to replace")
    undo(home)
    write_files(fleet, home)
    require_room_for_both(home)
    try:
        make_next_key(home)
        async with both_stores(fleet, home) as stores:
            report = await _verified(home, stores.old, "the trail")
            if report.verdict != "sound":
                return report
            count = await copy_store(stores, _say)
            report = await _verified(home, stores.new, "the copy of the trail")
            if different := await differences(stores):
                raise NotProvisioned(
                    f"{', '.join(different)} changed while it was verified; nothing was done, repeat it"
                )
        if report.verdict == "sound":
            _say(f"{count} streams are the same under both keys; the new store takes the place of the old one")
            commit(home)
    finally:
        if is_told(home):
            undo(home)
    return report


async def _verified(home: Home, admins: Admins, what: str) -> Report:
    _say(f"verifying {what}")
    return await verified_by(Reader(admins[names.ACCOUNT_AUDIT]), home, Wanted())


async def _told(home: Home, fleet: Fleet) -> None:
    """The trail is told with the new store; then the old one goes."""
    old, new = digest_of(key_before(home)), digest_of(home.store_key)
    async with administered(fleet, home, names.ACCOUNT_AUDIT) as admin:
        await tell(home, admin, [Rotated("store", old, new, account(), "")])
    os.sync()  # that server does not sync each message
    end(home)


def _say(text: str) -> None:
    if text:
        print(f"agentbus: {text}", file=sys.stderr, flush=True)
