"""Whether what a new member was given works: each import of its own account is asked through, with its own key.

Imports that would store what is asked through them (events, proposals, votes, parts) are not: they stand in the
same list of the same account as one that is.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from bus.connection import Connection, Msg, Profile
from bus.credentials import Credential
from bus.errors import NotProvisioned
from bus.provision.membership.administering import Admins
from bus.surroundings import Home
from schemas import names, subjects
from schemas.errors import DeadlineExceeded, Unavailable
from schemas.fleet import Fleet

_WITHIN_S = 10.0
_TRY_S = 2.0
_VERB = "list"


@dataclass(frozen=True, slots=True)
class Probe:
    """What is asked, and where in APPROVALS it arrives, if it does: somebody has to answer there."""

    subject: str
    arrives: str = ""


def probes_of(fleet: Fleet, name: str) -> tuple[Probe, ...]:
    """What `name` is to get an answer to in its own account."""
    if name in fleet.reviewers:
        return (Probe(f"approvals.{_VERB}", str(subjects.Review(name, _VERB))),)
    asked = str(subjects.Inquire(name, _VERB))
    own_part = Probe(str(subjects.PartGet(names.parts_stream(name), name, "probe", "0")))
    if name in fleet.operators:
        return own_part, Probe(asked, asked)
    if name in fleet.agents:
        trail = Probe(f"audit.last.{name}.0.process")
        may_propose = fleet.agents[name].may_propose
        return (trail, own_part, Probe(asked, asked)) if may_propose else (trail, own_part)
    return ()


async def probe(fleet: Fleet, home: Home, url: str, admins: Admins, members: Sequence[str]) -> int:
    """Ask everything that is to be asked for these members; returns how many imports answered.

    Raises:
        NotProvisioned: one does not answer; the message names it.
    """
    probes = {name: probes_of(fleet, name) for name in members}
    approvals = admins[names.ACCOUNT_APPROVALS]

    def answer(message: Msg) -> None:
        approvals.enqueue(message.reply, b"")

    for each in (each for found in probes.values() for each in found if each.arrives):
        await approvals.subscribe(each.arrives, answer)
    await approvals.flush()
    for name, found in probes.items():
        if found:
            await _probe_one(fleet, home, url, name, found)
    return sum(map(len, probes.values()))


async def _probe_one(fleet: Fleet, home: Home, url: str, name: str, probes: Sequence[Probe]) -> None:
    own = await Connection.open(own_profile(fleet, home, url, name))
    try:
        for each in probes:
            await _answered(own, name, each.subject)
    finally:
        await own.close()


async def _answered(own: Connection, name: str, subject: str) -> None:
    deadline = time.monotonic() + _WITHIN_S
    while True:
        try:
            await own.request(subject, timeout_s=_TRY_S)
        except (Unavailable, DeadlineExceeded) as error:
            if time.monotonic() > deadline:
                raise NotProvisioned(f"{name} gets no answer on {subject}: {error}; see the server's log") from None
            await asyncio.sleep(0.05)
        else:
            return


def own_profile(fleet: Fleet, home: Home, url: str, name: str, credential: str = names.OWN_CREDENTIAL) -> Profile:
    """How `name` connects with one of its keys: once, or not at all."""
    inbox = names.tool_inbox_prefix(name) if name in fleet.operators else names.inbox_prefix(name)
    return Profile(
        url=url,
        credential=Credential.find(home.credentials(name), credential),
        name=f"probe-{name}",
        inbox_prefix="_INBOX" if name in fleet.reviewers else inbox,
        wait_for_server=False,
    )
