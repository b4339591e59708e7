"""One agent in the test's own loop: the parts that its process starts, without the process.

async with serving(bench, "textstats") as agent:            # the example's own skill
    …
async with serving(bench, "textstats", echo, slot="1"):     # skills of the test, as a second instance
    …
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from agents.runtime.answering.answers import Answering, SkillAnswering
from agents.runtime.answering.ways import answering_of
from agents.runtime.large import HELD_BYTES, LargeAnswering, Room
from agents.runtime.loading.load import card_of, load_agent
from agents.runtime.operations import Operations, Parts
from agents.runtime.own_changes import OwnChanges
from agents.runtime.tasks.kept_of_callers import desk_of
from agents.runtime.tasks.push import PushConfigs
from agents.runtime.tasks.schedule import Schedule
from agents.runtime.worker import drain
from agents.skill import Skill
from approvals.git import tree_of_folder
from bus.audit.emit import Audit
from bus.audit.producer import Producer
from bus.audit.read import Reader, events_of
from bus.connection import Connection
from bus.credentials import Credential
from bus.part_store import OwnAccount, always
from bus.parts import large_parts
from bus.requests.breaker import NEVER, BreakerRules
from bus.requests.caller import Caller
from bus.requests.flow import Bounds, Places
from bus.requests.responder import Responder
from bus.tasks.commands import TaskCommands
from bus.tasks.dead_letters import DeadLetters
from bus.tasks.later import Later
from bus.tasks.marks import TaskMarks
from bus.tasks.room import TaskRoom
from bus.tasks.sources import LeftTasks
from bus.tasks.states import TaskBook
from bus.tasks.worker import TaskWorker
from schemas import a2a, names
from schemas.agent import BudgetLimits
from schemas.audit import AuditEvent, decode_event
from schemas.errors import TaskNotFound
from schemas.ids import ulid
from tests.harness.fleet import Bench, until


@dataclass
class Agent:
    """A running agent. `worker` takes its durable tasks, `responder` its requests."""

    id: str
    bus: Connection
    own: Connection
    audit: Audit
    calls: Caller
    book: TaskBook
    operations: Operations
    responder: Responder
    worker: TaskWorker
    answering: Answering
    later: Later
    places: Places
    is_dead: bool = False

    async def die(self) -> None:
        """End as a killed process does: nothing is answered, acknowledged or given back."""
        self.is_dead = True
        await self.bus.close()
        await self.own.close()
        await self.drain(0)
        await self.audit.close(0)

    async def drain(self, timeout_s: float) -> None:
        """End in order, as far as that is possible in the time."""
        await drain(self.responder, self.worker, self.operations, timeout_s)


async def _parts(
    bench: Bench, name: str, skills: tuple[Skill, ...], slot: str, bounds: Bounds, limits: BudgetLimits | None
) -> Agent:
    loaded = load_agent(bench.home.live(name) / "agent.yaml")
    loaded = replace(loaded, skills=skills) if skills else loaded
    bus = await bench.connect(name)
    own = await bench.connect(name, names.OWN_CREDENTIAL)
    audit = await Audit.open(
        own,
        Producer(name, slot, is_agent=True),
        Credential.find(bench.home.credentials(name), names.AUDIT_CREDENTIAL),
        bench.home.state(name) / f"audit-{slot}",
    )
    parts = large_parts(name, always(own))
    calls = Caller(bus, name, audit, parts=parts)
    answering: Answering = (
        SkillAnswering(skills) if skills else await answering_of(loaded, audit, own, bench.home.state(name))
    )
    book = TaskBook(name, own, bus, audit)
    later = Later(name, own)
    await later.require()
    places = Places(bounds)
    operations = Operations(
        Parts(
            agent=name,
            card=card_of(loaded, tree_of_folder(loaded.folder), ulid(time.time_ns(), os.urandom(10))),
            answering=LargeAnswering(answering, parts, Room(HELD_BYTES)),
            book=book,
            commands=TaskCommands(own),
            push=PushConfigs(own, book),
            schedule=Schedule(name, later, book, audit),
            calls=calls,
            marks=TaskMarks(own),
            changes=OwnChanges(loaded, own, audit),
            audit=audit,
            places=places,
            task_timeout_s=bounds.timeout_s,
            limits=limits or loaded.file.budget,
        )
    )
    table = {**operations.table(), **desk_of(loaded.file, own)}
    responder = Responder(bus, name, table, audit, bounds, places)
    responder.activated, responder.lighter = operations.activated, parts.lighter_answer
    sources = (LeftTasks(name, bus), later)
    worker = TaskWorker(sources, operations.run_task, audit, DeadLetters(name, own, bus), places, TaskRoom(own))
    return Agent(name, bus, own, audit, calls, book, operations, responder, worker, answering, later, places)


@asynccontextmanager
async def serving(
    bench: Bench,
    name: str,
    *skills: Skill,
    slot: str = "0",
    bounds: Bounds | None = None,
    takes_requests: bool = True,
    takes_tasks: bool = True,
    limits: BudgetLimits | None = None,
) -> AsyncIterator[Agent]:
    """The agent `name` of the bench's fleet, drained at the end; `skills` take the place of its own."""
    agent = await _parts(bench, name, skills, slot, bounds or Bounds(), limits)
    await agent.calls.start()
    await agent.book.require()
    if takes_requests:
        await agent.responder.start()
    if takes_tasks:
        agent.worker.start()
        agent.operations.waiting.start()
    try:
        yield agent
    finally:
        if not agent.is_dead:
            await agent.drain(5)
            await agent.audit.close()
        await agent.answering.close()
        await agent.bus.close()
        await agent.own.close()


async def caller(bench: Bench, principal: str = "ops", breaking: BreakerRules = NEVER, **changes: Any) -> Caller:
    """Somebody who asks, with the product's own client and without a trail, and asks again whatever fails.

    `changes` are those of its connection's profile.
    """
    bus = await bench.connect(principal, **changes)
    own = OwnAccount(bus)
    bench.stack.push_async_callback(own.close)
    calls = Caller(bus, principal, breaking=breaking, parts=large_parts(principal, own))
    await calls.start()
    return calls


def saying(
    text: str, *, skill: str = "", context: str = "", return_immediately: bool = False
) -> a2a.SendMessageRequest:
    """A request of one text part."""
    return _request(a2a.Part(text=text), skill, context, return_immediately)


def sending(data: object, *, skill: str = "", context: str = "") -> a2a.SendMessageRequest:
    """A request of one data part."""
    return _request(a2a.Part(data=data), skill, context, return_immediately=False)


def _request(part: a2a.Part, skill: str, context: str, return_immediately: bool) -> a2a.SendMessageRequest:
    message = a2a.Message(
        message_id=ulid(time.time_ns(), os.urandom(10)),
        role="ROLE_USER",
        parts=(part,),
        context_id=context,
        metadata={"skill": skill} if skill else {},
    )
    configuration = a2a.SendMessageConfiguration(return_immediately=return_immediately)
    return a2a.SendMessageRequest(message=message, configuration=configuration)


async def trail(bench: Bench, *agents: Agent, kind: str = "") -> list[AuditEvent]:
    """The audit events on the stream, after those of `agents` have all arrived there; of none was anything withheld."""
    for agent in agents:
        await agent.audit.confirm()
    auditor = await bench.connect("auditor", names.OWN_CREDENTIAL, inbox_prefix=names.inbox_prefix("auditor"))
    try:
        records = [record async for record in Reader(auditor).records()]
        events = [decode_event(event.payload) for record in records for event in events_of(record)]
    finally:
        await auditor.close()
    assert [event.data.resource for event in events if event.short_type == "audit.withheld"] == []
    return [event for event in events if kind in {"", event.short_type}]


async def reaches(ops: Caller, task: str, *states: str, timeout_s: float = 40) -> a2a.Task:
    """The task once it is in one of `states`; a task that was left is there when an instance has taken it."""

    async def there() -> a2a.Task | None:
        try:
            found = await ops.get_task("textstats", task)
        except TaskNotFound:
            return None
        return found if found.status.state in states else None

    found = await until(there, timeout_s=timeout_s)
    assert found is not None
    return found
