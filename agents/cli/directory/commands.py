"""Who is there: questions to the directory, as an operator, and the heartbeats themselves for what changes."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import msgspec

from agents.cli.directory.render import Change, change_line, changes_between, print_agent, print_table
from agents.cli.run import log_quietly, run_async
from agents.cli.shown import told_plainly
from agents.context import SKILL_KEY
from agents.directory.records import DIRECTORY, AgentRecord, Agents, FindInput, ShowInput, Shown
from agents.directory.roll import Roll
from agents.people import fleet_of, listening_operator, operator
from agents.runtime.loading.typed import read_input, write_output
from bus.discovery.agent_keys import AgentKeys
from bus.discovery.cards import CardNotTrusted, verify_card
from bus.requests.caller import Caller
from bus.surroundings import Home
from schemas import a2a, protojson
from schemas.errors import A2AError, InvalidAgentResponse, InvalidArgument, InvalidDocument, Unavailable
from schemas.heartbeat import Heartbeat
from schemas.ids import rfc3339, ulid
from schemas.text import harmless

_TIMEOUT_S = 10.0
_LOOK_EVERY_S = 0.1
_NEVER = "nothing was heard of it"


def list_agents(home: Path, caller: str, wanted: FindInput, *, as_json: bool) -> None:
    """Print a row per agent; exit 1 when there is none."""
    log_quietly()
    members = _members(home)

    async def main() -> Agents:
        async with operator(home, caller) as calls:
            return await _asked(calls, "find", wanted, Agents)

    answer = run_async(told_plainly(main()))
    if wanted == FindInput():
        answer = msgspec.structs.replace(answer, agents=_with_silent(answer.agents, members))
    if as_json:
        print(msgspec.json.encode(answer).decode())
    elif answer.agents:
        print_table(answer)
    else:
        print("agentbus: no agent matches; agentbus agents list shows them all", file=sys.stderr)
    raise SystemExit(0 if answer.agents else 1)


def show(home: Path, caller: str, agent: str, *, as_json: bool) -> None:
    """Print one agent."""
    log_quietly()
    members = _members(home)
    if agent not in members:
        raise InvalidDocument(f"the fleet has no agent {harmless(agent)!r}; it has: {', '.join(sorted(members))}")

    async def main() -> Shown:
        async with operator(home, caller) as calls:
            return await _asked(calls, "show", ShowInput(agent), Shown)

    try:
        answer = run_async(told_plainly(main()))
    except InvalidArgument:  # nothing was heard of it since the directory began
        answer = Shown(_silent(agent), None)
    answer = checked(answer, AgentKeys(Home(home.resolve()).agent_keys).of)
    if as_json:
        print(msgspec.json.encode(answer).decode())
    else:
        print_agent(answer)


def checked(answer: Shown, key_of: Callable[[str], str]) -> Shown:
    """The answer without a card that its agent did not sign: the directory passes cards on, and may be wrong."""
    if answer.card is None:
        return answer
    agent = answer.agent.agent
    try:
        card = protojson.decode(msgspec.json.encode(answer.card), a2a.AgentCard)
        verify_card(card, agent=agent, public_key=key_of(agent))
    except (CardNotTrusted, A2AError) as error:
        record = msgspec.structs.replace(
            answer.agent, card_state="not signed", card_problem=str(error), description="", skills=()
        )
        return Shown(record, None)
    return answer


def watch(home: Path, caller: str, *, as_json: bool) -> None:
    """Print who is there, then what changes, until Ctrl-C."""
    log_quietly()
    members = _members(home)

    async def main() -> None:
        async with listening_operator(home, caller) as (calls, heartbeats):
            beats: deque[tuple[str, Heartbeat]] = deque()
            await heartbeats.listen(lambda agent, beat: beats.append((agent, beat)))
            known = await _asked(calls, "list", None, Agents)
            before = {record.agent: record for record in _with_silent(known.agents, members)}
            for change in changes_between({}, before, known.as_of):
                _tell(change, as_json=as_json)
            roll = _continued(known.agents)
            while heartbeats.is_connected:
                while beats:
                    roll.heard(*beats.popleft())
                after = before | {record.agent: record for record in roll.records()}
                for change in changes_between(before, after, rfc3339(time.time_ns())):
                    _tell(change, as_json=as_json)
                before = after
                await asyncio.sleep(_LOOK_EVERY_S)
            raise Unavailable(
                "the connection to the server was lost, so nothing can be heard; watch again when it is up"
            )

    run_async(told_plainly(main()))


def _tell(change: Change, *, as_json: bool) -> None:
    print(msgspec.json.encode(change).decode() if as_json else change_line(change), flush=True)


def _continued(records: tuple[AgentRecord, ...]) -> Roll:
    """A roll that goes on where the directory's is."""
    roll = Roll()
    for record in records:
        for instance in record.instances:
            roll.heard(record.agent, instance.heartbeat, s_ago=instance.heard_s_ago)
    return roll


def _members(home: Path) -> frozenset[str]:
    """The agents of the fleet.

    Raises:
        InvalidDocument: there is no fleet, or it has no directory; the message says how to get one.
    """
    agents = frozenset(fleet_of(Home(home.resolve())).agents)
    if DIRECTORY not in agents:
        raise InvalidDocument(
            f"this fleet has no agent {DIRECTORY}, so nobody keeps track of who is online: add it to fleet.yaml "
            "with reads_cards: true, and the folder agents/directory of the example fleet"
        )
    return agents


def _silent(agent: str) -> AgentRecord:
    return AgentRecord(agent=agent, state="offline", reason=_NEVER)


def _with_silent(records: tuple[AgentRecord, ...], members: frozenset[str]) -> tuple[AgentRecord, ...]:
    """With a row for each agent of the fleet that was never heard."""
    heard = {record.agent for record in records}
    return tuple(sorted((*records, *map(_silent, members - heard)), key=lambda record: record.agent))


async def _asked[T](calls: Caller, skill: str, what: object, answer: type[T]) -> T:
    """The directory's answer.

    Raises:
        Unavailable: it does not run; the message says how to start it.
    """
    message = a2a.Message(
        message_id=ulid(time.time_ns(), os.urandom(10)),
        role="ROLE_USER",
        parts=write_output({} if what is None else what),
        metadata={SKILL_KEY: skill},
    )
    try:
        response = await calls.send_message(DIRECTORY, a2a.SendMessageRequest(message=message), timeout_s=_TIMEOUT_S)
    except Unavailable as error:
        if "retry_after_s" in error.metadata:
            raise
        raise Unavailable(
            f"the directory does not run, so nobody can say who is online; start it: agentbus agent start {DIRECTORY} "
            "(agentbus status shows the processes)"
        ) from None
    if response.message is None:
        raise InvalidAgentResponse("the directory answered with a task; it is not the one that comes with the product")
    try:
        result: T = read_input(response.message, answer)
    except InvalidArgument as error:
        raise InvalidAgentResponse(f"the directory's answer cannot be read: {error.message}") from None
    return result
