"""`agentbus provision --approved`, run by `agentbus-provision.service`: put approved permissions in force.

It takes no argument, has no key but the one with which it reads the record, and writes nothing but nats-server's
configuration and its own repository. Where anything is not as it must be, what was in force stays.
"""

from __future__ import annotations

import contextlib
import subprocess
import time
from dataclasses import dataclass

from agents.notify import Notifier
from approvals.applying.grant import decided_at, granted, wanted_tree
from approvals.applying.provisioned import Provisioned
from approvals.repository import rules_of_tree
from approvals.verdict.fold import Recorded
from approvals.verdict.machine import Case
from approvals.verdict.records import MissedRecord, Records
from bus.connection import Connection, Profile
from bus.credentials import Credential
from bus.errors import NotProvisioned
from bus.files import replace_durably
from bus.provision.provision import reconfigure
from bus.provision.user_keys import load_user_keys
from bus.surroundings import Surroundings
from schemas import names
from schemas.errors import AgentbusError, Unavailable

SERVER_UNIT = "nats-server.service"
_RELOAD_S = 10
_READINGS = 3


@dataclass(frozen=True, slots=True)
class UnitServer:
    """nats-server as systemd runs it; polkit lets this user reload it, and nothing else."""

    url: str

    def reload(self) -> None:
        """See `Running.reload`.

        Raises:
            NotProvisioned: systemd does not do it, or not soon.
        """
        command = ["systemctl", "--no-ask-password", "reload", SERVER_UNIT]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_RELOAD_S, check=False)
        except subprocess.TimeoutExpired:
            raise NotProvisioned(
                f"systemd did not reload {SERVER_UNIT} within {_RELOAD_S} s; see its journal"
            ) from None
        if done.returncode:
            said = (done.stderr or done.stdout).strip()
            raise NotProvisioned(f"systemd does not reload {SERVER_UNIT}: {said or done.returncode}")


async def provision_approved(place: Surroundings) -> str:
    """Put in force what the applier wants and the record grants; returns its tree. systemd is told how it went.

    Raises:
        AgentbusError: it is not in force; the message says why.
    """
    notifier = Notifier.from_environment()
    try:
        tree = await _provision(place)
    except AgentbusError as error:
        notifier.status(f"failed: {error}")
        raise
    notifier.status(f"in force: {tree}")
    return tree


async def _provision(place: Surroundings) -> str:
    book, wanted = Provisioned.of(place.home), wanted_tree(place.home)
    case = granted(book, await _record(place), wanted, time.time_ns())
    if case:
        with book.git.indexed() as index:
            index.apply(case.proposal.base, case.proposal.diff)  # its objects are kept; what it gives was examined
    await _reconfigure(book, place, wanted)
    if case:
        book.put(wanted, _why(case), decided_at(case))
    return wanted


def _why(case: Case) -> str:
    return f"in force by {case.id}\n\nDigest: {case.digest}\nApproved-by: {', '.join(sorted(case.approving()))}"


async def _record(place: Surroundings) -> list[tuple[str, Recorded]]:
    """Every proposal and vote that the server has stored."""
    profile = Profile(
        url=place.nats_url, credential=Credential.find(place.credentials, names.OWN_CREDENTIAL), name=names.PROVISION,
        inbox_prefix=names.inbox_prefix(names.PROVISION), wait_for_server=False,
    )  # fmt: skip
    connection = await Connection.open(profile)
    try:
        records = Records(connection, names.PROVISION, (names.DECISIONS, names.PROPOSALS))
        for _ in range(_READINGS):
            await records.restart()
            with contextlib.suppress(MissedRecord):
                return await records.new()
    finally:
        await connection.close()
    raise Unavailable("the record of proposals and votes cannot be read without gaps", retry_after_s="1")


async def _reconfigure(book: Provisioned, place: Surroundings, tree: str) -> None:
    """Have nats-server do what `tree` says. Where it does not, its configuration is again what it was."""
    fleet, home = rules_of_tree(book.git, tree).fleet, place.home
    if fleet.nats.cluster:
        raise NotProvisioned("the servers of a cluster are configured by hand, with: agentbus provision")
    keys, before = load_user_keys(home.user_keys, fleet), home.server_config.read_bytes()
    server = UnitServer(place.nats_url)
    try:
        await reconfigure(fleet, home, keys, (server,))
    except AgentbusError:
        replace_durably(home.server_config, before, keeps_owner=True)
        server.reload()
        raise
