"""Calls that people decide about, attacked: what was not allowed exactly so does not run, and nothing runs twice."""

from __future__ import annotations

import asyncio
import time
from typing import Any, cast

import msgspec
import pytest

from agents import llm
from agents.changes import Asked, AuthRequired
from agents.tools.approval import call_of
from agents.tools.errors import ToolFailed, ToolRefused, ToolUnusable
from agents.tools.row import Row
from approvals.errors import CannotPropose
from bus.tasks.states import StaleTask
from schemas.approvals import Proposal, Receipt, ToolCall, decode_proposal, name_of
from schemas.documents import Document
from schemas.ids import sha256_hex
from tests.harness.deciding import Deploy, Office, Ran, Run, Task, tool
from tests.harness.toolbox import Told, toolbox

HOUR_NS = 3600 * 10**9


@pytest.fixture
def task() -> Task:
    return Task()


@pytest.fixture
def office() -> Office:
    return Office()


@pytest.fixture
def ran() -> Ran:
    return Ran()


async def asked(task: Task, office: Office, ran: Ran, **arguments: Any) -> Run:
    """A run whose call waits for people."""
    run = Run(task, office, ran)
    assert await run.turns() == ()
    with pytest.raises(AuthRequired):
        await run.call(**{"to": "production"} | arguments)
    assert ran == []
    return run


async def resumed(task: Task, office: Office, ran: Ran) -> tuple[Run, tuple[llm.Turn, ...]]:
    """The next run of the task, wherever it is."""
    run = Run(task, office, ran)
    return run, await run.turns()


def pending(turns: tuple[llm.Turn, ...]) -> llm.ToolCall | None:
    """The call that is to be run now."""
    last = turns[-1] if turns else None
    return last.tool_calls[0] if isinstance(last, llm.AssistantTurn) and last.tool_calls else None


def told(turns: tuple[llm.Turn, ...]) -> str:
    """The last result that the model is told."""
    last = turns[-1]
    assert isinstance(last, llm.ToolTurn)
    return last.results[0].text


async def test_what_is_allowed_runs_once_exactly_so(task: Task, office: Office, ran: Ran) -> None:
    """Asked first, then allowed, then run with the same arguments, each step stored before the next."""
    await asked(task, office, ran)
    proposal, digest = decode_proposal(office.record[office.last])
    assert proposal.call == ToolCall(tool="deploy", arguments='{"force":false,"to":"production"}')
    assert task.asked == (Asked(office.last, digest=digest),)
    office.say("allowed")
    run, turns = await resumed(task, office, ran)
    call = pending(turns)
    assert call is not None
    assert call.input == {"force": False, "to": "production"}
    assert await run.call(**call.input) == "deployed to production"
    assert ran == ["production"]
    assert [stage for written in task.written[-2:] for stage in [written[0].stage]] == ["begun", "ended"]


async def test_people_are_asked_before_anything_is_intended(task: Task, office: Office, ran: Ran) -> None:
    """A call that waits has not begun: the trail says nothing of it, and no limit of it is used."""
    trail = Told()
    run = Run(task, office, ran, trail)
    with pytest.raises(AuthRequired):
        await run.call(to="production")
    assert trail.kinds == []


@pytest.mark.parametrize(
    "state", ["rejected", "expired", "withdrawn", "refused", "invalid", "applied", "approved", "open!"]
)
async def test_only_allowed_is_allowed(task: Task, office: Office, ran: Ran, state: str) -> None:
    """Every other end is told, with its reason, and the same call asks people anew."""
    await asked(task, office, ran)
    office.say(state, note="because")
    run, turns = await resumed(task, office, ran)
    assert "was not run (because)" in told(turns)
    with pytest.raises(AuthRequired):
        await run.call(to="production")
    assert ran == []
    assert len(office.record) == 2


async def test_nothing_runs_while_people_have_not_decided(task: Task, office: Office, ran: Ran) -> None:
    """A run that begins too early, or while nobody can be asked, waits on."""
    await asked(task, office, ran)
    for is_away in (False, True):
        office.is_away = is_away
        with pytest.raises(AuthRequired):
            await resumed(task, office, ran)
    assert ran == []


@pytest.mark.parametrize("other", [{"to": "elsewhere"}, {"to": "production", "force": True}, {"to": "production "}])
async def test_other_arguments_are_not_allowed(task: Task, office: Office, ran: Ran, other: dict[str, Any]) -> None:
    """Whatever the model makes of what was allowed is another call, about which people are asked."""
    await asked(task, office, ran)
    office.say("allowed")
    run, _ = await resumed(task, office, ran)
    with pytest.raises(AuthRequired):
        await run.call(**other)
    assert ran == []


async def test_an_approval_is_used_up(task: Task, office: Office, ran: Ran) -> None:
    """The same call again, in this run or a later one, asks people again."""
    await asked(task, office, ran)
    office.say("allowed")
    run, _ = await resumed(task, office, ran)
    await run.call(to="production")
    with pytest.raises(AuthRequired):
        await run.call(to="production")
    first = next(iter(office.record))
    assert ran == ["production"]
    office.say("allowed", proposal=first)  # replayed: the first approval once more
    with pytest.raises(AuthRequired):
        await resumed(task, office, ran)
    office.say("rejected")
    run, turns = await resumed(task, office, ran)
    assert pending(turns) is None
    with pytest.raises(AuthRequired):
        await run.call(to="production")
    assert ran == ["production"]


async def test_an_approval_that_is_over_is_none(task: Task, office: Office, ran: Ran) -> None:
    """At the start of the run, and also where its time passes between the start and the call."""
    await asked(task, office, ran)
    office.say("allowed", until_ns=time.time_ns() - 1)
    run, turns = await resumed(task, office, ran)
    assert "not begun in time" in told(turns)
    office.say("allowed", until_ns=time.time_ns() + HOUR_NS)
    run, turns = await resumed(task, office, ran)
    run.context.asking.grant(ToolCall(tool="deploy", arguments='{"force":false,"to":"production"}'), 0, 1)
    with pytest.raises(ToolRefused, match="not begun in time"):
        await run.call(to="production")
    assert ran == []


async def test_a_crash_after_the_beginning_is_not_repeated(task: Task, office: Office, ran: Ran) -> None:
    """It had begun: the next run tells the model that nobody knows, and runs nothing."""
    await asked(task, office, ran)
    office.say("allowed")
    run, _ = await resumed(task, office, ran)
    ran.gate = asyncio.Event()
    running = asyncio.ensure_future(run.call(to="production"))
    while not ran:
        await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    run, turns = await resumed(task, office, ran)
    assert "nobody knows how it ended" in told(turns)
    with pytest.raises(AuthRequired):
        await run.call(to="production")
    assert ran == ["production"]


async def test_a_crash_before_the_beginning_loses_nothing(task: Task, office: Office, ran: Ran) -> None:
    """Allowed and not begun: the next run has it."""
    await asked(task, office, ran)
    office.say("allowed")
    await resumed(task, office, ran)
    run, _ = await resumed(task, office, ran)
    assert await run.call(to="production") == "deployed to production"


async def test_two_instances_do_not_both_run_it(task: Task, office: Office, ran: Ran) -> None:
    """Who cannot store that it begins does not begin."""
    await asked(task, office, ran)
    office.say("allowed")
    slow, _ = await resumed(task, office, ran)
    task.is_stale = True
    with pytest.raises(StaleTask):
        await slow.call(to="production")
    assert ran == []


async def test_one_that_begins_twice_in_one_run_runs_once(task: Task, office: Office, ran: Ran) -> None:
    """At the same time, too."""
    await asked(task, office, ran)
    office.say("allowed")
    run, _ = await resumed(task, office, ran)
    found = await asyncio.gather(*(run.call(to="production") for _ in range(3)), return_exceptions=True)
    assert [each for each in found if isinstance(each, str)] == ["deployed to production"]
    assert ran == ["production"]


async def test_a_failure_is_an_end(task: Task, office: Office, ran: Ran) -> None:
    """It is known that it failed, so the model is not told that nobody knows."""
    await asked(task, office, ran)
    office.say("allowed")
    run, _ = await resumed(task, office, ran)
    ran.error = ToolFailed("no")
    with pytest.raises(ToolFailed):
        await run.call(to="production")
    assert task.asked[0].stage == "ended"
    _, turns = await resumed(task, office, ran)
    assert "has run, once" in told(turns)


def lies(proposal: Proposal) -> list[Proposal]:
    """What somebody might put into the record's answer in place of the call that was asked for."""
    other = ToolCall(tool="deploy", arguments='{"force":true,"to":"production"}')
    return [
        msgspec.structs.replace(proposal, call=other),
        msgspec.structs.replace(proposal, call=msgspec.UNSET),
        msgspec.structs.replace(proposal, agent="other"),
        msgspec.structs.replace(proposal, task="t-2"),
        msgspec.structs.replace(proposal, base="6" * 40, tree="6" * 40),
        msgspec.structs.replace(proposal, nonce="0"),
    ]


@pytest.mark.parametrize("number", range(6))
async def test_a_record_that_says_something_else_is_not_believed(
    task: Task, office: Office, ran: Ran, number: int
) -> None:
    """What was asked for has the digest that the task kept; anything else is not run, whoever says that it is allowed."""
    await asked(task, office, ran)
    name = office.last
    proposal, _ = decode_proposal(office.record[name])
    office.say("allowed")
    office.record[name] = msgspec.json.encode(lies(proposal)[number])
    run, turns = await resumed(task, office, ran)
    assert pending(turns) is None
    for force in (False, True):
        with pytest.raises(AuthRequired):
            await run.call(to="production", force=force)
    assert ran == []


async def test_a_call_of_another_task_or_agent_is_not_this_one(office: Office, ran: Ran) -> None:
    """A task that names another one's proposal gets nothing by it, though that is allowed and on record."""
    mine = Task("t-1")
    await asked(mine, office, ran)
    office.say("allowed")
    thief = Task("t-2")
    thief.asked = mine.asked
    _, turns = await resumed(thief, office, ran)
    assert pending(turns) is None
    foreign = Office("other")
    foreign.record, foreign.states = office.record, office.states
    _, turns = await resumed(mine, foreign, ran)
    assert pending(turns) is None
    assert ran == []


async def test_another_version_of_the_agent_does_not_run_it(task: Task, office: Office, ran: Ran) -> None:
    """What people allowed, they allowed to the agent as it was."""
    await asked(task, office, ran)
    office.say("allowed")
    office.tree = "7" * 40
    _, turns = await resumed(task, office, ran)
    assert "by an earlier version of this agent" in told(turns)
    assert ran == []


async def test_what_was_never_sent_is_asked_anew(task: Task, office: Office, ran: Ran) -> None:
    """Killed between the note in the task and the proposal: nobody was asked, and the next run asks."""
    await asked(task, office, ran)
    office.record.clear()
    office.states.clear()
    run, turns = await resumed(task, office, ran)
    assert turns == ()
    with pytest.raises(AuthRequired):
        await run.call(to="production")
    assert len(task.asked) == len(office.record) == 1


async def test_a_request_that_is_no_task_runs_nothing(office: Office, ran: Ran) -> None:
    """Nobody could wait; the model is told, and can say so."""
    run = Run(Task(""), office, ran)
    with pytest.raises(ToolRefused, match="only a task can wait"):
        await run.call(to="production")
    assert (ran, office.record) == ([], {})


async def test_what_people_cannot_be_asked_is_told(task: Task, office: Office, ran: Ran) -> None:
    """A secret, or more than anybody reads: nothing is sent, nothing runs."""
    run = Run(task, office, ran)
    for to in ("sk-ant-api03-abcdefghijklmnopqrstuvwx1234", "x" * 40_000):
        with pytest.raises(ToolRefused, match="who were not asked"):
            await run.call(to=to)
    assert (ran, office.record) == ([], {})


async def test_without_the_guard_nothing_runs_either(task: Task, office: Office, ran: Ran) -> None:
    """The tool itself asks for what was allowed: a way around the guard is none."""
    run = Run(task, office, ran)
    row = run.box.toolbox.rows[0]
    with pytest.raises(ToolRefused, match="nobody has allowed exactly this call"):
        await row.run(Deploy(to="production"), run.context)
    assert ran == []
    assert row.at_once == 1


async def test_the_file_s_rules_come_before_people(task: Task, office: Office) -> None:
    """People are not asked about what the file does not allow."""
    ran = Ran()
    run = Run(task, office, ran)
    run.box = toolbox([tool(ran, arguments={"to": {"allow": ["staging"]}})])
    with pytest.raises(ToolRefused, match="is not allowed"):
        await run.call(to="production")
    assert office.record == {}


def test_arguments_without_a_canonical_form_are_refused() -> None:
    """So that there is one text for each call."""

    class Number(Document):
        n: int

    row = Row(llm.Tool(name="n", description="", input=Number), cast(Any, None), has_effects=True)
    with pytest.raises(ToolRefused, match=r"beyond 2\^53"):
        call_of(row, Number(n=2**60))


def test_changes_are_not_asked_about_twice() -> None:
    """`propose_change` is decided by people anyway."""
    from pathlib import Path

    from agents.tools.catalogue import Place
    from agents.tools.sources import rows_of
    from schemas.agent import Tools

    with pytest.raises(ToolUnusable, match="people decide about every change anyway"):
        rows_of(Tools.model_validate({"propose_change": {"approval": "always"}}), Place(Path()))


async def test_a_refusal_at_the_desk_is_kept(task: Task, office: Office, ran: Ran) -> None:
    """Nobody was asked to review it: the model is told why, and a later run does not wait for it."""

    async def refuse(proposal: bytes) -> Receipt:
        return Receipt(proposal=name_of(sha256_hex(proposal)), digest="", problem="writer has 5 proposals waiting")

    office.send = refuse  # type: ignore[method-assign]
    run = Run(task, office, ran)
    with pytest.raises(ToolRefused, match="5 proposals waiting"):
        await run.call(to="production")
    _, turns = await resumed(task, office, ran)
    assert "5 proposals waiting" in told(turns)
    with pytest.raises(CannotPropose):
        await run.context.asking.begin(ToolCall(tool="deploy", arguments="{}"), 0)
