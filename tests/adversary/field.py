"""The fleet that is attacked, what an attacker holds, and what the trail said meanwhile."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import yaml
from nats.aio.client import Client

from agents.people import auditor, fleet_of
from approvals.change.propose import Edit
from approvals.git import Git
from bus.audit.read import Reader, events_of
from schemas.approvals import Proposal, Receipt
from schemas.audit import AuditEvent, decode_event
from tests.harness.fleet import RunningFleet, running_fleet, until
from tests.harness.office import HOUR_NS, Office, office
from tests.unit.approvals.fleet_repository import Change, Desk, altered

MOLE = "greeter"
"""The agent whose keys the attacker has."""
TELLS_WITHIN_S = 15.0
_QUIET = 5
"""Looks at the trail, a tenth of a second apart, that find nothing new."""


class Case(NamedTuple):
    """One attack. `tells` is the type of the event that must be on the trail afterwards; empty: nothing happened, so
    nothing may be told of a proposal, a vote or an application.
    """

    name: str
    attack: Callable[[Field], Awaitable[None]]
    tells: str = ""


@dataclass
class Field:
    """What an attack works with. `stand` is where the trail was when it began."""

    fleet: RunningFleet
    desk: Office
    copy: Path
    reader: Reader
    stand: int = 1

    # -- proposals ---------------------------------------------------------------------------------------

    def forge(self, changes: Mapping[str, Change], **lies: Any) -> bytes:
        """A proposal of the mole that is what git says of `changes`, but for `lies`."""
        about = Desk(Git(self.copy)).propose(changes)
        return self.encoded(about, **lies)

    def encoded(self, about: Proposal, **lies: Any) -> bytes:
        """The bytes of a proposal of now, with `lies`."""
        now_ns = time.time_ns()
        times = {"made_at_ns": now_ns, "expires_at_ns": now_ns + HOUR_NS, "nonce": str(now_ns)}
        return msgspec.json.encode(altered(about, **(times | lies)))

    def honest(self, text: str = "Style: formal", **lies: Any) -> bytes:
        """A proposal to change the mole's prompt, that is what it says but for `lies`."""
        data = self.desk.proposal(MOLE, [Edit("agent.yaml", "Style: friendly", text)])
        about = msgspec.json.decode(data, type=Proposal)
        return self.encoded(about, **lies)

    async def open_one(self, text: str = "Style: formal", **lies: Any) -> Receipt:
        """An honest proposal that waits."""
        receipt = await self.desk.propose(self.honest(text, **lies), MOLE)
        assert not receipt.problem, receipt.problem
        return receipt

    async def refuses(self, data: bytes, said: str, by: str = MOLE) -> None:
        """The proposal is answered with a problem that says `said`."""
        receipt = await self.desk.propose(data, by)
        assert said in receipt.problem, receipt

    # -- the server's own walls --------------------------------------------------------------------------

    async def walled(self, who: str, act: Callable[[Client], Awaitable[Any]]) -> None:
        """The server refuses what `who` does, and says so to it."""
        client = await self.desk.client(who)
        errors = self.desk.errors[who]
        before = len(errors)
        await act(client)
        await client.flush(timeout=5)

        async def told() -> bool:
            return any("permissions violation" in error.lower() for error in errors[before:])

        await until(told, timeout_s=5)

    # -- what the trail says -----------------------------------------------------------------------------

    async def quiet(self) -> int:
        """The sequence that the trail's next event will have, when what came before is told to its end."""
        ends: list[int] = []

        async def look() -> bool:
            ends.append((await self.reader.bounds()).last + 1)
            return len(set(ends[-_QUIET:])) == 1 and len(ends) >= _QUIET

        await until(look, timeout_s=TELLS_WITHIN_S, every_s=0.1)
        return ends[-1]

    async def told(self) -> list[AuditEvent]:
        """The events since the attack began."""
        found = []
        async for record in self.reader.records(self.stand):
            if record.subject != "audit.seal":
                found += [decode_event(event.payload) for event in events_of(record)]
        return found

    async def until_told(self, kind: str) -> None:
        """An event of this type is on the trail, or, without a type, none that would say that something was changed."""

        async def look() -> bool:
            kinds = {event.short_type for event in await self.told()}
            return kind in kinds if kind else True

        await until(look, timeout_s=TELLS_WITHIN_S, every_s=0.1)
        if not kind:
            done = {event.short_type for event in await self.told()} & _CONSEQUENCES
            assert not done, f"the trail tells of {sorted(done)}"


_CONSEQUENCES = {
    "proposal.made",
    "proposal.voted",
    "proposal.decided",
    "apply.intended",
    "apply.applied",
    "glass.broken",
}


def _people(fleet: dict[str, Any]) -> None:
    fleet["reviewers"] = {
        "reviewer": {"groups": ["staff"]}, "second": {"groups": ["staff"]}, "twin": {"groups": ["staff"]},
        "guest": {"groups": ["guests"]},
    }  # fmt: skip
    fleet["same_person"] = [["second", "twin"]]
    fleet["agents"]["textstats"] = {"may_propose": True}


def _policy(source: Path) -> None:
    policy = {
        "version": "1",
        "rules": [
            {"paths": ["agents/*/agent.yaml", "agents/*/*.md"], "kinds": ["prompt", "config"], "groups": ["staff"]},
            {"paths": ["agents/**"], "kinds": ["code", "tool", "model"], "quorum": 2, "groups": ["staff"]},
            {"paths": ["agents/*/notes.md"], "quorum": 2, "groups": ["staff"]},
            {"paths": ["agents/*/notes.md"], "quorum": 1, "groups": ["staff"], "max_lines": 5},
        ],
        "max_open_per_agent": 8,
        "health": {"ready_within_s": 10, "steady_for_s": 0.5},
    }
    (source / "policy.yaml").write_text(yaml.safe_dump(policy))


@contextmanager
def attacked(folder: Path) -> Iterator[RunningFleet]:
    """The running fleet; stopped at the end."""
    with running_fleet(folder, _people, _policy) as fleet:
        yield fleet


@asynccontextmanager
async def field_of(fleet: RunningFleet, folder: Path) -> AsyncIterator[Field]:
    """Everything an attack needs."""
    copy = folder / "copy.git"
    await asyncio.to_thread(shutil.copytree, fleet.home.repository, copy)
    async with office(fleet.home) as desk, auditor(fleet.home, fleet_of(fleet.home)) as connection:
        yield Field(fleet, desk, copy, Reader(connection))
