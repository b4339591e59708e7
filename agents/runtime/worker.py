"""One agent's process: `agentbus agent run FILE`.

Order at the end: take no more requests and tasks, finish what runs, flush the trail, close. A task that
is not finished in time goes back to the stream.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import msgspec
import structlog

from agents.lifespan import Here
from agents.processes.looking_again import look_at_agent
from agents.processes.service import Identity, Running, service
from agents.runtime.answering.ways import answering_of
from agents.runtime.large import HELD_BYTES, LargeAnswering, Room
from agents.runtime.loading.agent_folder import own_files
from agents.runtime.loading.load import Loaded, card_of, load_agent
from agents.runtime.operations import Operations, Parts
from agents.runtime.own_changes import OwnChanges
from agents.runtime.tasks.kept_of_callers import desk_of, require_room_to_remember
from agents.runtime.tasks.push import PushConfigs
from agents.runtime.tasks.schedule import Schedule
from approvals.git import tree_of_folder
from bus.background import vital
from bus.discovery.agent_keys import AgentKeys
from bus.discovery.cards import sign_card
from bus.discovery.heartbeat import Heartbeats, Pulse
from bus.discovery.micro import Micro, Service
from bus.health.doors import Doors
from bus.health.numbers import Sample
from bus.part_store import always
from bus.parts import LargeParts, large_parts
from bus.provision.streams import own_streams
from bus.requests.breaker import BreakerRules
from bus.requests.caller import Caller
from bus.requests.flow import Bounds, Places, Rate
from bus.requests.responder import Responder
from bus.surroundings import Surroundings
from bus.tasks.commands import TaskCommands
from bus.tasks.dead_letters import DeadLetters
from bus.tasks.later import Later
from bus.tasks.marks import TaskMarks
from bus.tasks.room import TaskRoom
from bus.tasks.sources import LeftTasks
from bus.tasks.states import TaskBook
from bus.tasks.worker import TaskWorker
from schemas.a2a import PROTOCOL_VERSION
from schemas.agent import Limits
from schemas.heartbeat import Heartbeat
from schemas.ids import rfc3339

_log = structlog.get_logger("agent")


async def run_agent(path: Path, place: Surroundings) -> None:
    """Serve the agent whose file is `path` until told to stop.

    Raises:
        InvalidDocument, CredentialMissing, NotProvisioned, ConnectionRefused: it cannot be served.
    """
    agent = load_agent(path)
    tree = await asyncio.to_thread(tree_of_folder, own_files(agent.folder))
    async with service(Identity(agent.id, is_agent=True), place, _doors(agent, place)) as running:
        running.report.stands_on(running.own, own_streams())
        running.audit.emit("config.loaded", action="load", metadata={"tree": tree, "version": agent.file.agent.version})
        limits = agent.file.limits
        places = Places(bounds := _bounds(limits))
        parts = large_parts(agent.id, always(running.own))
        calls = await _calls(agent, running, parts)
        answering = await _answering(agent, running, place, parts)
        book = TaskBook(agent.id, running.own, running.bus, running.audit)
        later = Later(agent.id, running.own)
        await asyncio.gather(book.require(), later.require(), require_room_to_remember(agent.file, running.own))
        operations = Operations(
            Parts(
                agent=agent.id,
                card=sign_card(card_of(agent, tree, running.audit.epoch.lower()), running.bus.profile.credential),
                answering=answering,
                book=book,
                commands=TaskCommands(running.own),
                push=PushConfigs(running.own, book),
                schedule=Schedule(agent.id, later, book, running.audit),
                calls=calls,
                marks=TaskMarks(running.own),
                changes=OwnChanges(agent, running.own, running.audit),
                audit=running.audit,
                places=places,
                task_timeout_s=limits.request_timeout_s,
                limits=agent.file.budget,
            )
        )
        table = {**operations.table(), **desk_of(agent.file, running.own)}
        responder = Responder(running.bus, agent.id, table, running.audit, bounds, places)
        dead, left = DeadLetters(agent.id, running.own, running.bus), LeftTasks(agent.id, running.bus)
        tasks = TaskWorker((left, later), operations.run_task, running.audit, dead, places, TaskRoom(running.own))
        micro = Micro(running.bus, _service_of(agent, tree, running), responder.counts)
        here = Here(agent.id, calls, Heartbeats(running.bus, agent.id), AgentKeys(place.home.agent_keys))
        lifespans = await _opened(agent, here)
        running.report.serves(table, partial(_figures, places, responder, left))
        responder.activated, responder.lighter = operations.activated, parts.lighter_answer
        await responder.start()
        await micro.start()
        tasks.start(running.signs.fail)
        operations.waiting.start(running.signs.fail)
        beating = vital((pulse := _pulse(agent, running, responder, places)).run(), "the heartbeat", running.signs.fail)
        await running.serve(f"serving {agent.id}, tree {tree[:12]}", look_at_agent(path, tree))
        pulse.drain()
        await micro.stop()
        unfinished = await drain(responder, tasks, operations, limits.drain_timeout_s)
        await lifespans.aclose()
        beating.cancel()
        await pulse.leave()
        await answering.close()
        _log.info("process.drained", unfinished=unfinished)


def _doors(agent: Loaded, place: Surroundings) -> Doors:
    return Doors.from_environment().or_ports(*agent.file.http.of_slot(int(place.slot)))


async def _calls(agent: Loaded, running: Running, parts: LargeParts) -> Caller:
    breaking = BreakerRules(**agent.file.limits.breaker.model_dump())
    calls = Caller(running.bus, agent.id, running.audit, breaking=breaking, parts=parts)
    await calls.start()
    return calls


async def _answering(agent: Loaded, running: Running, place: Surroundings, parts: LargeParts) -> LargeAnswering:
    own = await answering_of(agent, running.audit, running.own, place.state)
    return LargeAnswering(own, parts, Room(HELD_BYTES))


async def drain(responder: Responder, tasks: TaskWorker, operations: Operations, timeout_s: float) -> int:
    """Take no more, and finish what was accepted; returns how much was not finished in the time.

    Operations come last: a request that was accepted just before the end may have begun a task.
    """
    ends_s = time.monotonic() + timeout_s
    unfinished = await asyncio.gather(responder.drain(timeout_s), tasks.drain(timeout_s))
    return sum(unfinished) + await operations.drain(max(0, ends_s - time.monotonic()))


def _bounds(limits: Limits) -> Bounds:
    return Bounds(
        limits.max_concurrent,
        limits.max_queued,
        timeout_s=limits.request_timeout_s,
        queue_timeout_s=limits.queue_timeout_s,
        rate=Rate(limits.requests_per_s, limits.burst),
        rate_of={name: Rate(its.requests_per_s, its.burst) for name, its in limits.callers.items()},
    )


async def _opened(agent: Loaded, here: Here) -> AsyncExitStack:
    """The work of the agent's lifespans, begun; close it when the last request was answered."""
    async with AsyncExitStack() as stack:
        for lifespan in agent.lifespans:
            await stack.enter_async_context(lifespan.open(here))
        return stack.pop_all()


def _service_of(agent: Loaded, tree: str, running: Running) -> Service:
    """What `nats micro` shows of this instance; the trail knows it by the same id."""
    identity = agent.file.agent
    return Service(
        name=agent.id,
        instance=running.audit.epoch.lower(),
        version=identity.version,
        description=identity.description,
        metadata={"tree": tree, "protocol": f"a2a {PROTOCOL_VERSION}"},
    )


def _figures(places: Places, responder: Responder, left: LeftTasks) -> Iterable[Sample]:
    yield Sample("agent_requests_in_flight", (), places.running)
    yield Sample("agent_requests_queued", (), places.queued)
    yield Sample("agent_streams_open", (), responder.streams)
    yield Sample("agent_tasks_in_flight", (), places.tasks.running)
    yield Sample("agent_tasks_pending", (), left.pending)


def _pulse(agent: Loaded, running: Running, responder: Responder, places: Places) -> Pulse:
    first = Heartbeat(
        instance=running.audit.epoch.lower(),
        started=rfc3339(time.time_ns()),
        state="ready",
        interval_s=agent.file.heartbeat_interval_s,
        slot=running.slot,
        version=agent.file.agent.version,
    )

    def look() -> Heartbeat:
        return msgspec.structs.replace(first, running=places.running, queued=places.queued, streams=responder.streams)

    return Pulse(running.bus, agent.id, look)
