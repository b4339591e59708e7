"""Tasks of an operator that were given up: looked at, and left again."""

from __future__ import annotations

import os
import time
from pathlib import Path

import msgspec

from agents.cli.run import log_quietly, run_async
from agents.cli.shown import told_plainly
from agents.people import operators_connection
from bus.connection import Connection
from bus.requests.breaker import NEVER
from bus.requests.caller import Caller
from bus.tasks.dead_letters import Dead, read_dead_letters
from schemas import a2a, protojson
from schemas.errors import A2AError, InvalidDocument, TaskNotFound
from schemas.ids import ulid
from schemas.text import harmless

_WHOLE_HISTORY = 1_000_000
_PAGE = 20
"""Tasks with their messages: more of them might not fit into an answer."""


def show_dead(home: Path, caller: str, agent: str, *, as_json: bool) -> None:
    """Print a row per dead letter, the newest first."""

    async def main() -> list[Dead]:
        async with operators_connection(home, caller) as (connection, operator):
            return await read_dead_letters(connection, operator)

    log_quietly()
    found = [dead for dead in run_async(told_plainly(main())) if agent in {"", dead.agent}][::-1]
    if as_json:
        print(msgspec.json.format(msgspec.json.encode({"dead": [_plain(dead) for dead in found]}), indent=2).decode())
    else:
        _print_rows(found)


def retry(home: Path, caller: str, which: tuple[str, str], *, again: bool) -> None:
    """Leave the dead task `which` (agent, id) again, and print the id of the new one."""

    async def main() -> str:
        async with operators_connection(home, caller) as (connection, operator):
            calls = Caller(connection, operator, breaking=NEVER)
            await calls.start()
            return await left_again(connection, calls, operator, which, again=again)

    log_quietly()
    print(run_async(told_plainly(main())))


async def left_again(
    connection: Connection, calls: Caller, operator: str, which: tuple[str, str], *, again: bool
) -> str:
    """The id of the task that retries `which`: of an earlier retry unless `again`.

    Raises:
        TaskNotFound: the operator has no dead letter of it.
        InvalidDocument: its message cannot be read, so it would end in the same way.
        A2AError: it cannot be known whether it was retried (the agent is down), or it was not left.
    """
    agent, task = which
    letters = await read_dead_letters(connection, operator)
    dead = next((dead for dead in letters if (dead.agent, dead.letter.task) == which), None)
    if dead is None:
        raise TaskNotFound(f"{operator} has no dead letter of {task[:70]} at {agent}; see agentbus tasks dead")
    request = _request_of(dead)
    if not again and (earlier := await _retried(calls, dead)):
        return earlier
    key = f"retry of {task}" + (f" {ulid(time.time_ns(), os.urandom(10))}" if again else "")
    return await calls.leave_task(agent, request, key=key)


async def _retried(calls: Caller, dead: Dead) -> str:
    """The task that retries `dead`, empty when the agent has none."""
    wanted = a2a.ListTasksRequest(status_timestamp_after=dead.letter.at, history_length=_WHOLE_HISTORY, page_size=_PAGE)
    while True:
        page = await calls.list_tasks(dead.agent, wanted)
        for task in page.tasks:
            if any(dead.letter.task in message.reference_task_ids for message in task.history[:1]):
                return task.id
        if not page.next_page_token:
            return ""
        wanted = msgspec.structs.replace(wanted, page_token=page.next_page_token)


def _request_of(dead: Dead) -> a2a.SendMessageRequest:
    """The same request, whose message refers to the task that was given up."""
    task = dead.letter.task
    if not dead.letter.is_whole:
        raise InvalidDocument(f"the message of {task} was too large to be kept with its history; leave it anew")
    try:
        request = protojson.decode(dead.payload, a2a.SendMessageRequest)
    except A2AError as error:
        raise InvalidDocument(
            f"the message of {task} cannot be read, so it would fail again: {harmless(error.message)}"
        ) from None
    references = (*request.message.reference_task_ids, task)
    message = msgspec.structs.replace(request.message, reference_task_ids=references)
    return msgspec.structs.replace(request, message=message)


def _plain(dead: Dead) -> dict[str, object]:
    try:
        payload: object = msgspec.json.decode(dead.payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        payload = None
    letter = msgspec.to_builtins(dead.letter)
    return {"agent": dead.agent, **letter, "payload": payload, "payloadBase64": msgspec.to_builtins(dead.payload)}


def _print_rows(found: list[Dead]) -> None:
    width = max([len("AGENT"), *(len(dead.agent) for dead in found)])
    longest = max([len("TASK"), *(len(harmless(dead.letter.task)) for dead in found)])
    print(f"{'AGENT':<{width}}  {'TASK':<{longest}}  {'GIVEN UP':<24}  {'TRIES':<5}  REASON")
    for dead in found:
        letter = dead.letter
        place = f"{dead.agent:<{width}}  {harmless(letter.task):<{longest}}  {harmless(letter.at):<24}"
        print(f"{place}  {len(letter.attempts):<5}  {harmless(letter.reason)}")
        errors = ", ".join(sorted({attempt.error for attempt in letter.attempts}))
        if errors:
            print(f"{'':<{width}}  {'':<{longest}}  {'':<24}  {'':<5}  errors: {harmless(errors)}")
