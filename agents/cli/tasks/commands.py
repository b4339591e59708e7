"""Tasks of an operator: left, listed, looked at, followed, canceled. All of it through the operations of A2A."""

from __future__ import annotations

import asyncio
import datetime
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import msgspec

from agents.cli.ask_commands import Question
from agents.cli.run import EX_TEMPFAIL, EX_UNAVAILABLE, log_quietly, run_async
from agents.cli.shown import due_of, print_json, print_task, said, state_name, state_shown, text_of, told_plainly
from agents.cli.tasks.watching import Screen
from agents.cli.when import moment_of
from agents.people import fleet_of, operator
from bus.requests.caller import Caller
from bus.surroundings import Home
from schemas import a2a, protojson
from schemas.errors import DeadlineExceeded, InvalidDocument, TaskNotFound, Unavailable, UnsupportedOperation
from schemas.text import harmless

_POLL_S = 0.1
_TAKEN_WITHIN_S = 10.0
"""A task that was just left may not have been taken from the stream yet; after this it is taken for unknown."""
_LARGEST_PAGE = 100
_STATES: dict[str, a2a.TaskState] = {state_name(state): state for state in get_args(a2a.TaskState)}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which tasks to list: of one agent or, when empty, of all; in one state or any; the `limit` newest."""

    agent: str
    state: str
    context: str
    limit: int

    def request(self) -> a2a.ListTasksRequest:
        """The first page's request.

        Raises:
            InvalidDocument: no such state, or a limit below 1.
        """
        if self.state and self.state.replace("_", "-") not in _STATES:
            raise InvalidDocument(f"there is no state {self.state}; there are: {', '.join(_STATES)}")
        if self.limit < 1:
            raise InvalidDocument("--limit must be at least 1")
        size = min(self.limit, _LARGEST_PAGE)
        everything = a2a.ListTasksRequest(context_id=self.context, page_size=size)
        if not self.state:
            return everything
        return msgspec.structs.replace(everything, status=_STATES[self.state.replace("_", "-")])


@dataclass(slots=True)
class _Listed:
    """What one agent has: its newest tasks, how many there are, and why it said nothing where it did not."""

    agent: str
    tasks: tuple[a2a.Task, ...] = ()
    total: int = 0
    problem: str = ""


def add(home: Path, caller: str, question: Question, key: str, when: tuple[str, str] = ("", "")) -> None:
    """Leave a task, and print its id; `when` (after a while, at a moment; one of them) puts it off.

    Raises:
        InvalidDocument: the question or the time cannot be read.
    """
    request = question.request()
    not_before = moment_of(*when, datetime.datetime.now(datetime.UTC))

    async def leave(calls: Caller) -> str:
        declaring = calls.declaring(*question.extensions)
        with question.paid():
            return await declaring.leave_task(question.agent, request, key=key, not_before=not_before)

    print(_asked(home, caller, leave))


def show(home: Path, caller: str, which: tuple[str, str], wait_s: float | None, *, as_json: bool) -> None:
    """Print the task `which` (agent, id), after waiting up to `wait_s` for its end; then the exit code says how."""
    deadline = time.monotonic() + (wait_s or 0)
    found = _asked(home, caller, lambda calls: _ended(calls, which, deadline))
    if as_json:
        print_json(found)
    else:
        print_task(found)
    if wait_s is not None:
        raise SystemExit(_exit_code(found.status.state))


def cancel(home: Path, caller: str, which: tuple[str, str], *, as_json: bool) -> None:
    """Stop the task `which`, and print it as canceled."""
    found = _asked(home, caller, lambda calls: calls.cancel_task(*which))
    if as_json:
        print_json(found)
    else:
        print_task(found)


def show_all(home: Path, caller: str, wanted: Wanted, *, as_json: bool) -> None:
    """Print a row per task, newest status first; exit 69 when an agent did not answer, after what the others said."""
    request = wanted.request()
    agents = (wanted.agent,) if wanted.agent else tuple(fleet_of(Home(home.resolve())).agents)

    async def all_of(calls: Caller) -> list[_Listed]:
        return await asyncio.gather(*(_listed(calls, agent, request, wanted.limit) for agent in agents))

    answers = _asked(home, caller, all_of)
    rows = [(answer.agent, task) for answer in answers for task in answer.tasks]
    rows = sorted(rows, key=lambda row: row[1].status.timestamp, reverse=True)[: wanted.limit]
    total = sum(answer.total for answer in answers)
    silent = {answer.agent: answer.problem for answer in answers if answer.problem}
    if as_json:
        tasks = [{"agent": agent, "task": msgspec.Raw(protojson.encode(task))} for agent, task in rows]
        document = {"tasks": tasks, "totalSize": total, "unavailable": silent}
        print(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())
    else:
        _print_rows(rows, total)
    for problem in silent.values():
        print(f"agentbus: {problem}", file=sys.stderr)
    if silent:
        raise SystemExit(EX_UNAVAILABLE)


def watch(home: Path, caller: str, which: tuple[str, str], limit_s: float, *, as_json: bool) -> None:
    """Print what happens to the task `which` until it ends or waits for somebody; the exit code says how it ended.

    Raises:
        DeadlineExceeded: it still goes on after `limit_s` seconds (0 is no limit).
    """

    async def follow(calls: Caller, tell: Callable[[a2a.StreamResponse], None]) -> a2a.TaskState:
        try:
            async with asyncio.timeout(limit_s or None):
                return await _followed(calls, which, tell)
        except TimeoutError:
            raise DeadlineExceeded(f"task {which[1]} still goes on after {limit_s:g} s") from None

    with Screen() as screen:
        tell = _tell_as_json if as_json else screen.show
        state = _asked(home, caller, lambda calls: follow(calls, tell))
    raise SystemExit(_exit_code(state))


def _asked[T](home: Path, caller: str, what: Callable[[Caller], Awaitable[T]]) -> T:
    """The answer to what is asked as operator `caller`."""
    log_quietly()

    async def main() -> T:
        async with operator(home, caller) as calls:
            return await what(calls)

    return run_async(told_plainly(main()))


async def _listed(calls: Caller, agent: str, request: a2a.ListTasksRequest, limit: int) -> _Listed:
    """The agent's `limit` newest tasks, page by page."""
    found: dict[str, a2a.Task] = {}
    try:
        while True:
            page = await calls.list_tasks(agent, request)
            found |= {task.id: task for task in page.tasks}
            if not page.next_page_token or not page.tasks or len(found) >= limit:
                return _Listed(agent, tuple(found.values())[:limit], page.total_size)
            request = msgspec.structs.replace(request, page_token=page.next_page_token)
    except (Unavailable, DeadlineExceeded) as error:
        return _Listed(agent, problem=" ".join(said(error).split()))


async def _ended(calls: Caller, which: tuple[str, str], deadline: float) -> a2a.Task:
    """The task when it has ended or waits for somebody; as it is at the deadline otherwise.

    Raises:
        TaskNotFound: the agent does not know it, at the deadline.
    """
    while True:
        task = await _taken(calls, which, deadline)
        if _is_over(task.status.state) or time.monotonic() >= deadline:
            return task
        await asyncio.sleep(_POLL_S)


async def _taken(calls: Caller, which: tuple[str, str], deadline: float) -> a2a.Task:
    """The task, as soon as its agent knows it; raises as `_ended`."""
    while True:
        try:
            return await calls.get_task(*which)
        except TaskNotFound:
            if time.monotonic() >= deadline:
                raise
        await asyncio.sleep(_POLL_S)


async def _followed(calls: Caller, which: tuple[str, str], tell: Callable[[a2a.StreamResponse], None]) -> a2a.TaskState:
    """Tell everything that happens to the task; returns the state in which it ended or waits."""
    task = await _taken(calls, which, time.monotonic() + _TAKEN_WITHIN_S)
    state = task.status.state
    try:
        if task.is_final:  # a subscription is for what has not ended
            raise UnsupportedOperation("has ended")
        async with aclosing(calls.subscribe_to_task(*which)) as updates:
            async for update in updates:
                tell(update)
                state = _state_in(update) or state
    except UnsupportedOperation:
        task = await calls.get_task(*which)
        tell(a2a.StreamResponse(task=task))
        state = task.status.state
    return state


def _state_in(update: a2a.StreamResponse) -> a2a.TaskState | None:
    if update.task is not None:
        return update.task.status.state
    return update.status_update.status.state if update.status_update is not None else None


def _tell_as_json(update: a2a.StreamResponse) -> None:
    print(protojson.encode(update).decode(), flush=True)


def _is_over(state: a2a.TaskState) -> bool:
    return state in a2a.TERMINAL or state in a2a.INTERRUPTED


def _exit_code(state: a2a.TaskState) -> int:
    """0 completed; 1 ended in another way, or waits for somebody; 75 it still goes on."""
    if state == a2a.COMPLETED:
        return 0
    return 1 if _is_over(state) else EX_TEMPFAIL


def _print_rows(rows: list[tuple[str, a2a.Task]], total: int) -> None:
    width = max([len("AGENT"), *(len(agent) for agent, _ in rows)])
    longest = max([len("TASK"), *(len(harmless(task.id)) for _, task in rows)])
    print(f"{'AGENT':<{width}}  {'TASK':<{longest}}  {'STATE':<14}  {'SINCE':<24}  SAID")
    for agent, task in rows:
        place = f"{agent:<{width}}  {harmless(task.id):<{longest}}  {state_shown(task.status.state, 14)}"
        print(f"{place}  {harmless(task.status.timestamp):<24}  {_remark(task)}".rstrip())
    if total > len(rows):
        print(f"agentbus: the {len(rows)} newest of {total}; --limit {total} shows all", file=sys.stderr)


def _remark(task: a2a.Task) -> str:
    """When it is due while it waits for that, else the first line of what is said of it."""
    if due := due_of(task):
        return f"not before {due}"
    first, *_ = (text_of(task.status.message.parts) if task.status.message else "").splitlines() or [""]
    return first if len(first) <= 60 else f"{first[:59]}…"
