"""What surrounds an agent in a trial, in memory: its trail, its task, its reviewers, its conversations."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Final, cast

import msgspec

from agents.changes import Asked
from approvals.change.edits import Change
from bus.audit.emit import Audit
from bus.sessions import Change as Rewrite
from bus.sessions import Found, SessionStore
from schemas import a2a
from schemas.approvals import Receipt, Standing, ToolCall, name_of
from schemas.audit import CATALOGUE
from schemas.ids import sha256_hex

_OPEN, _APPLIED, _ALLOWED = "open", "applied", "allowed"
_HOUR_NS: Final = 3600 * 1_000_000_000


class Event(msgspec.Struct, frozen=True):
    """An event that would be on the trail."""

    name: str
    facts: dict[str, Any]


class Trail:
    """In place of the audit trail; `events` are in order."""

    epoch = "01TR1A1000000000000000000A"

    def __init__(self) -> None:
        self.events: list[Event] = []

    def emit(self, name: str, **facts: Any) -> str:
        """As `Audit.emit`; only events of the catalogue."""
        assert name in CATALOGUE, f"{name} is no event; see nats/AUDIT_EVENTS.md"  # noqa: S101  for tests
        self.events.append(Event(name, facts))
        return f"{self.epoch}.{len(self.events)}"

    async def confirm(self) -> None:
        """Nothing can be lost."""

    @property
    def audit(self) -> Audit:
        """As the product's parts take it."""
        return cast(Audit, self)


class TrialTask:
    """A task of the trial. As `agents.context.Work`; what the agent does with it is kept."""

    def __init__(self, task: str, first: a2a.Message) -> None:
        self.task = task
        self.history: tuple[a2a.Message, ...] = (first,)
        self.asked: tuple[Asked, ...] = ()
        self.is_durable = False
        self.progressed: list[str] = []
        self.pieces: list[a2a.Part] = []
        self.artifacts: dict[str, a2a.Artifact] = {}
        self._heard: asyncio.Queue[a2a.Message] = asyncio.Queue()

    def say(self, message: a2a.Message) -> None:
        """Add to the conversation; what the caller adds while the work runs is heard."""
        self.history += (message,)

    def hear(self, message: a2a.Message) -> None:
        """What the caller adds while the work runs."""
        self.say(message)
        self._heard.put_nowait(message)

    def begin(self) -> None:
        """A run begins: its pieces take the place of those of the one before."""
        self.pieces.clear()

    def when_over(self, do: Callable[[], Awaitable[None]]) -> None:
        """See `Work`."""

    async def keep_asked(self, asked: tuple[Asked, ...]) -> None:
        """See `Work`."""
        self.asked = asked

    async def progress(self, text: str) -> None:
        """See `Work`."""
        self.progressed.append(text)

    async def give(self, parts: tuple[a2a.Part, ...], *, anew: bool = False) -> None:
        """See `Work`."""
        if anew:
            self.pieces.clear()
        self.pieces += parts

    async def artifact(self, artifact: a2a.Artifact) -> None:
        """See `Work`."""
        self.artifacts[artifact.name or artifact.artifact_id] = artifact

    async def next_message(self) -> a2a.Message:
        """See `Work`."""
        return await self._heard.get()


class Proposed(msgspec.Struct, frozen=True):
    """A change that the agent asked for."""

    changes: tuple[Change, ...]
    rationale: str


class Reviewers:
    """In place of the people: every proposal ends as `outcome`. As `agents.changes.Changes`."""

    def __init__(self, agent: str, outcome: str) -> None:
        self._agent = agent
        self._outcome = outcome
        self._numbers = itertools.count(1)
        self.proposed: list[Proposed] = []
        self.calls: dict[str, ToolCall] = {}
        """Calls of tools that people were asked about, by proposal."""

    @property
    def is_undecided(self) -> bool:
        """Whether proposals stay open."""
        return self._outcome == _OPEN

    async def build(self, changes: Sequence[Change], rationale: str, task: str) -> bytes:
        """See `Changes`. Whether the changes fit the files is not looked at."""
        self.proposed.append(Proposed(tuple(changes), rationale))
        return f"{next(self._numbers)} {task}".encode()

    async def build_call(self, call: ToolCall, rationale: str, task: str) -> bytes:
        """See `Changes`. What becomes of changes becomes of calls: `applied` is `allowed`."""
        self.proposed.append(Proposed((), rationale))
        proposal = f"{next(self._numbers)} {task}".encode()
        self.calls[name_of(sha256_hex(proposal))] = call
        return proposal

    async def call_of(self, proposal: str, digest: str, task: str) -> ToolCall | None:
        """See `Changes`."""
        del digest, task
        return self.calls.get(proposal)

    async def send(self, proposal: bytes) -> Receipt:
        """See `Changes`."""
        digest = sha256_hex(proposal)
        return Receipt(proposal=name_of(digest), digest=digest)

    async def standing(self, proposal: str) -> Standing:
        """See `Changes`."""
        now_ns = time.time_ns()
        is_call = proposal in self.calls
        state = _ALLOWED if is_call and self._outcome == _APPLIED else self._outcome
        return Standing(
            proposal=proposal, digest="", agent=self._agent, kind="call" if is_call else "config",
            proposer=self._agent, state=state, is_final=state != _OPEN, approvals=0, quorum=1, proposed_at_ns=now_ns,
            expires_at_ns=now_ns, rationale=self.proposed[-1].rationale,
            until_ns=now_ns + _HOUR_NS if is_call else 0,
        )  # fmt: skip

    async def withdraw(self, proposal: str, reason: str) -> Receipt:
        """See `Changes`."""
        return Receipt(proposal=proposal, digest="", problem=f"nothing is withdrawn in a trial: {reason}")


class Conversations(SessionStore):
    """In place of the bucket; nothing expires."""

    def __init__(self) -> None:
        self._values: dict[str, Found] = {}

    async def require(self) -> None:
        """It is there."""

    async def get(self, key: str) -> Found:
        """See `SessionStore.get`."""
        return self._values.get(key, Found(b"", 0))

    async def change(self, key: str, changed: Rewrite, *, ttl_s: int | None = None) -> bytes:  # noqa: ARG002  as its base has it
        """See `SessionStore.change`."""
        found = await self.get(key)
        value = changed(found)
        self._values[key] = Found(value, found.revision + 1, was_deleted=not value)
        return value

    async def all_of(self, caller: str) -> AsyncIterator[bytes]:
        """See `SessionStore.all_of`."""
        for key, found in self._values.items():
            if found.value and key.startswith(f"{caller}."):
                yield found.value
