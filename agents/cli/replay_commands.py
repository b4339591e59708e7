"""`agentbus replay`: an operator holds a recorded conversation again, as a proposal would have the agent."""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from agents import llm
from agents.cli.run import log_quietly, run_async
from agents.evaluation.proposed import proposed_file
from agents.evaluation.recorded import exchanges_of
from agents.evaluation.replaying import Again, replay, replay_through
from agents.evaluation.report import Report
from agents.memory.session import decode
from agents.people import own_operator
from approvals.git import Git
from approvals.reviewing.desk import ProposalDesk
from bus.surroundings import Home
from schemas.agent import AgentFile
from schemas.approvals import Proposal, Receipt
from schemas.errors import InvalidDocument
from schemas.ids import sha256_hex
from schemas.text import harmless


class How(NamedTuple):
    """Whether reviewers see the result; and whether each exchange is held to its end, instead of answer by answer."""

    is_recorded: bool
    is_through: bool


def run(file: Path, proposal: str, home: Path, caller: str, how: How, *, as_json: bool) -> None:
    """Replay, and print each answer that changes; exit 1 when one does, or when the result could not be recorded."""
    log_quietly()
    source = _read(file)
    turns = tuple(kept.turn for kept in decode(source).turns)
    report, again, receipt = run_async(_replayed(source, turns, proposal, (home, caller), how))
    if as_json:
        answers = [_answer(one) for one in again]
        print(msgspec.json.format(msgspec.json.encode(_told(report, answers, receipt)), indent=2).decode())
    else:
        print(*_lines(report, again), sep="\n")
    if receipt is not None and receipt.problem:
        print(f"agentbus: the result is not on record: {harmless(receipt.problem)}", file=sys.stderr)
    raise SystemExit(0 if report.is_passed and not (receipt and receipt.problem) else 1)


async def _replayed(
    source: bytes, turns: tuple[llm.Turn, ...], proposal: str, who: tuple[Path, str], how: How
) -> tuple[Report, tuple[Again, ...], Receipt | None]:
    home, caller = who
    async with own_operator(home, caller) as (connection, chosen):
        desk = ProposalDesk(connection, chosen)
        about = await desk.history(proposal)
        wanted = msgspec.convert(about["proposal"], Proposal)
        file = proposed_file(Git(Home(home.resolve()).repository), wanted, os.environ)
        again = await _asked_again(file, turns, is_through=how.is_through)
        if not again:
            raise InvalidDocument("the conversation has no answer of a model, so there is nothing to replay")
        report = Report(
            agent=wanted.agent,
            way="replay",
            suite=sha256_hex(source),
            must_pass=1,
            tried=tuple(one.tried for one in again),
        )
        told = await desk.evaluated(report.record(proposal, about["digest"])) if how.is_recorded else None
    return report, again, told


async def _asked_again(file: AgentFile, turns: tuple[llm.Turn, ...], *, is_through: bool) -> tuple[Again, ...]:
    assert file.llm is not None  # noqa: S101  `proposed_file` says so
    pool = llm.Pool.from_choices(file.llm.pool, request_timeout_s=file.llm.request_timeout_s)
    hold = replay_through if is_through else replay
    answers = len(exchanges_of(turns)) if is_through else sum(isinstance(turn, llm.AssistantTurn) for turn in turns)
    done = 0

    def on_again(_: Again) -> None:
        nonlocal done
        done += 1
        if sys.stderr.isatty():
            print(f"\r{done} of {answers} answers", end="\n" if done == answers else "", file=sys.stderr, flush=True)

    try:
        return await hold(file, turns, pool, on_again=on_again)
    finally:
        await pool.close()


def _told(report: Report, answers: list[dict[str, Any]], receipt: Receipt | None) -> dict[str, Any]:
    return {
        "same": report.passed, "answers": answers, "cost_usd": report.cost_usd, "report": report, "receipt": receipt,
    }  # fmt: skip


def _lines(report: Report, again: tuple[Again, ...]) -> list[str]:
    lines: list[str] = []
    for one in again:
        if not one.tried.is_passed or one.not_recorded:
            lines += [f"{one.tried.name} to: {_plain(one.question)}", f"  was: {_plain(one.before)}"]
            lines.append(f"  now: {_plain(one.now) if one.now is not None else harmless(one.tried.why)}")
            lines += [f"  not recorded: {_counted(one.not_recorded)}"] if one.not_recorded else []
    cost = "cost unknown" if report.cost_usd is None else f"{report.cost_usd:.4f} USD"
    return [*lines, f"replay: {report.passed} of {len(again)} answers of {report.agent} stayed the same, {cost}"]


def _answer(one: Again) -> dict[str, Any]:
    return {
        "question": one.question, "before": one.before, "now": one.now, "not_recorded": list(one.not_recorded),
    }  # fmt: skip


def _counted(names: tuple[str, ...]) -> str:
    """Tools, each with how often it was called so."""
    return ", ".join(f"{harmless(name)} ({count})" for name, count in Counter(names).items())


def _plain(text: str) -> str:
    return harmless(" ".join(text.split()))


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InvalidDocument(
            f"cannot read {file}: {error.strerror}; agentbus sessions export writes a conversation"
        ) from None
