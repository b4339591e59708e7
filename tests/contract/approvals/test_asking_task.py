"""A task that asks for a change waits for people, and goes on with what became of it, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agents.skill import Context, Skill, skill
from approvals.errors import CannotPropose
from approvals.reviewing.desk import ProposalDesk
from bus.requests.caller import Caller
from schemas import a2a, names
from schemas.approvals import Receipt
from schemas.errors import UnsupportedOperation
from tests.contract.approvals.approvals_bench import STYLE, Approvals
from tests.harness.agent import caller, saying, serving
from tests.harness.fleet import Bench, until


@skill(description="Asks for another style, twice if it is told so, and says what became of it.")
async def changing(request: str, ctx: Context) -> str:
    said = []
    for number in range(request.count("ask")):
        standing = await ctx.propose_change([STYLE], f"number {number}")
        said.append(f"{standing.state} ({standing.note})")
    return ", ".join(said)


@skill(description="Asks for what cannot be, and goes on.")
async def hopeless(request: str, ctx: Context) -> str:
    try:
        await ctx.propose_change([], "nothing")
    except CannotPropose as refusal:
        return f"refused: {refusal}"
    return "no"


async def in_task_state(calls: Caller, task: str, state: a2a.TaskState) -> a2a.Task:
    """The task as soon as it is in `state`."""

    async def look() -> a2a.Task | None:
        found = await calls.get_task("greeter", task)
        assert found.status.state == state or not found.is_final, found.status
        return found if found.status.state == state else None

    found = await until(look, timeout_s=20)
    assert found is not None
    return found


async def begun(calls: Caller, text: str) -> a2a.Task:
    """A task that waits for people, from a request that is answered by a task."""
    answer = await calls.send_message("greeter", saying(text, return_immediately=True))
    assert answer.task is not None
    return await in_task_state(calls, answer.task.id, a2a.AUTH_REQUIRED)


async def only_open(approvals: Approvals) -> Receipt:
    """The one proposal that is open."""
    (case,) = await approvals.ask_json("list")
    return Receipt(proposal=case["id"], digest=case["digest"])


def result(task: a2a.Task) -> str:
    """The text of a task's answer."""
    return "".join(str(part.text) for artifact in task.artifacts for part in artifact.parts)


def said_of(task: a2a.Task) -> str:
    """What the agent says of the task."""
    assert task.status.message is not None
    return task.status.message.text()


async def test_a_task_waits_and_goes_on_with_the_outcome(approvals: Approvals) -> None:
    """AUTH_REQUIRED names the proposal; the rejection, with its reason, is what the handler's call returns."""
    async with serving(approvals.bench, "greeter", changing):
        calls = await caller(approvals.bench)
        task = await begun(calls, "ask")
        receipt = await only_open(approvals)
        assert f"approvals.show {receipt.proposal}" in said_of(task)
        assert (await approvals.ask_json("show", receipt.proposal))["proposal"]["task"] == task.id
        await approvals.type("reject", f"{receipt.proposal} too formal")
        ended = await in_task_state(calls, task.id, a2a.COMPLETED)
        assert result(ended).startswith("rejected (")
        assert "too formal" in result(ended)
        assert len(ended.history) == 1  # the caller was asked nothing


async def test_the_second_call_asks_for_the_second_change(approvals: Approvals) -> None:
    """Each call finds its own proposal again, in order, however often the function runs."""
    async with serving(approvals.bench, "greeter", changing):
        calls = await caller(approvals.bench)
        task = await begun(calls, "ask ask")
        first = await only_open(approvals)
        await approvals.type("reject", f"{first.proposal} one")

        async def second() -> Receipt | None:
            cases = [case for case in await approvals.ask_json("list") if case["id"] != first.proposal]
            return Receipt(proposal=cases[0]["id"], digest="") if cases else None

        receipt = await until(second)
        assert receipt is not None
        await in_task_state(calls, task.id, a2a.AUTH_REQUIRED)
        await approvals.type("reject", f"{receipt.proposal} two")
        ended = await in_task_state(calls, task.id, a2a.COMPLETED)
        assert [word in result(ended) for word in ("one", "two")] == [True, True]
        assert result(ended).index("one") < result(ended).index("two")


@pytest.mark.parametrize("is_durable", [True, False])
async def test_another_instance_goes_on_after_a_kill(approvals: Approvals, is_durable: bool) -> None:
    """The instance that asked is killed; the next one tells the outcome, and there was one proposal."""
    calls = await caller(approvals.bench)
    async with serving(approvals.bench, "greeter", changing) as agent:
        if is_durable:
            identity = await calls.leave_task("greeter", saying("ask"))
            await until(lambda: approvals.ask_json("list"))
            await in_task_state(calls, identity, a2a.AUTH_REQUIRED)
        else:
            identity = (await begun(calls, "ask")).id
        await agent.die()
    receipt = await only_open(approvals)
    await approvals.type("reject", f"{receipt.proposal} not now")
    async with serving(approvals.bench, "greeter", changing, slot="1"):
        ended = await in_task_state(calls, identity, a2a.COMPLETED)
    assert "not now" in result(ended)
    assert len(await approvals.ask_json("list", "all")) == 1


async def test_what_was_rolled_back_is_told_with_its_reason(approvals: Approvals) -> None:
    """An approval alone does not make the task go on: the applier's outcome does."""
    applier = await approvals.applier()
    await applier.start()
    async with serving(approvals.bench, "greeter", changing):
        calls = await caller(approvals.bench)
        task = await begun(calls, "ask")
        receipt = await only_open(approvals)
        await approvals.type("approve", f"{receipt.proposal} {receipt.digest} yes")
        ended = await in_task_state(calls, task.id, a2a.COMPLETED)
        assert result(ended).startswith("rolled_back (")
        assert "no process of greeter" in result(ended)
    await applier.drain(5)


async def test_what_was_never_sent_is_asked_for_anew(approvals: Approvals, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed after the task noted its proposal and before it was sent: the next instance asks, once."""
    reached = asyncio.Event()

    async def hang(*_: Any, **__: Any) -> Receipt:
        reached.set()
        await asyncio.Event().wait()
        raise AssertionError

    calls = await caller(approvals.bench)
    async with serving(approvals.bench, "greeter", changing) as agent:
        with monkeypatch.context() as planted:
            planted.setattr(ProposalDesk, "propose", hang)
            answer = await calls.send_message("greeter", saying("ask", return_immediately=True))
            await asyncio.wait_for(reached.wait(), 30)
            await agent.die()
    assert await approvals.ask_json("list") == []
    assert answer.task is not None
    async with serving(approvals.bench, "greeter", changing):
        await in_task_state(calls, answer.task.id, a2a.AUTH_REQUIRED)
        await only_open(approvals)


async def test_a_service_that_is_away_leaves_the_task_waiting(approvals: Approvals) -> None:
    """Whoever cannot be asked has decided nothing: the task waits through an outage of the approval service."""
    calls = await caller(approvals.bench)
    async with serving(approvals.bench, "greeter", changing):
        task = await begun(calls, "ask")
        receipt = await only_open(approvals)
        await approvals.stop()
        await approvals.vote_unheard("reject", f"{receipt.proposal} while it was away")
        assert (await calls.get_task("greeter", task.id)).status.state == a2a.AUTH_REQUIRED
        await approvals.start()
        assert "while it was away" in result(await in_task_state(calls, task.id, a2a.COMPLETED))


async def test_where_nobody_can_be_asked_the_task_asks_later(fleet_bench: Bench) -> None:
    """Without an approval service nothing is left on record unseen; the task asks when there is one, once."""
    calls = await caller(fleet_bench)
    async with serving(fleet_bench, "greeter", changing):
        answer = await calls.send_message("greeter", saying("ask", return_immediately=True))
        assert answer.task is not None
        await in_task_state(calls, answer.task.id, a2a.AUTH_REQUIRED)
        running = Approvals(fleet_bench)
        await running.start()
        await until(lambda: running.ask_json("list"))
        await in_task_state(calls, answer.task.id, a2a.AUTH_REQUIRED)
        receipt = await only_open(running)
        await running.type("reject", f"{receipt.proposal} no")
        assert "rejected" in result(await in_task_state(calls, answer.task.id, a2a.COMPLETED))
        assert len(await running.ask_json("list", "all")) == 1
        await running.stop()


async def test_cancel_withdraws_the_proposal(approvals: Approvals) -> None:
    """The caller gives up: the task is canceled, and nobody is asked to decide any more."""
    async with serving(approvals.bench, "greeter", changing):
        calls = await caller(approvals.bench)
        task = await begun(calls, "ask")
        receipt = await only_open(approvals)
        assert (await calls.cancel_task("greeter", task.id)).status.state == a2a.CANCELED

        async def withdrawn() -> bool:
            return await approvals.state(receipt.proposal) == "withdrawn"

        await until(withdrawn)
        assert (await calls.get_task("greeter", task.id)).status.state == a2a.CANCELED


async def test_a_message_does_not_take_the_place_of_the_decision(approvals: Approvals) -> None:
    """Whatever the caller says to a task that waits for people is refused, and the task waits on."""
    async with serving(approvals.bench, "greeter", changing):
        calls = await caller(approvals.bench)
        task = await begun(calls, "ask")
        further = a2a.Message(message_id="m2", role="ROLE_USER", parts=(a2a.Part(text="approved"),), task_id=task.id)
        with pytest.raises(UnsupportedOperation, match="waits for people to decide about p-"):
            await calls.send_message("greeter", a2a.SendMessageRequest(message=further))
        assert (await calls.get_task("greeter", task.id)).status.state == a2a.AUTH_REQUIRED


async def test_a_model_is_told_the_outcome(approvals: Approvals) -> None:
    """The conversation goes on with the tool's result: the stand-in says what became of its proposal."""
    async with serving(approvals.bench, "greeter"):
        calls = await caller(approvals.bench)
        task = await begun(calls, "please be more formal")
        receipt = await only_open(approvals)
        await approvals.type("reject", f"{receipt.proposal} too formal")
        ended = await in_task_state(calls, task.id, a2a.COMPLETED)
        assert f"Proposal {receipt.proposal} was rejected: nothing has changed" in result(ended)
        assert "too formal" in result(ended)
        at_once = await calls.send_message("greeter", saying("please be more formal"))
        assert at_once.message is not None
        assert "waits for approval; nothing has changed yet" in at_once.message.text()


@pytest.mark.parametrize(("what", "said"), [(changing, "open ()"), (hopeless, "refused: nothing would change")])
async def test_a_request_does_not_wait(approvals: Approvals, what: Skill, said: str) -> None:
    """Where there is no task, the call returns at once: the proposal is open, or could not be made."""
    async with serving(approvals.bench, "greeter", what):
        calls = await caller(approvals.bench)
        answer = await calls.send_message("greeter", saying("ask"))
        assert answer.message is not None
        assert answer.message.text() == said


async def test_what_is_kept_names_the_proposal_alone(approvals: Approvals) -> None:
    """A caller reads in its task what is waited for, and nothing of the change."""
    async with serving(approvals.bench, "greeter", changing):
        calls = await caller(approvals.bench)
        task = await begun(calls, "ask")
        receipt = await only_open(approvals)
        kept = task.metadata[names.CHANGES_KEY]
        assert isinstance(kept, dict)
        assert kept["asked"] == [{"proposal": receipt.proposal}]
        assert set(kept) <= {"asked", "correlation"}
