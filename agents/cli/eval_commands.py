"""`agentbus eval`: an operator tries the cases of a suite at a running agent, or at one in a folder, and puts the result on record."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec

from agents.cli.run import log_quietly, run_async
from agents.evaluation import Asked, Report, Tried, evaluate
from agents.people import operator, own_operator
from approvals.reviewing.desk import ProposalDesk
from schemas.approvals import Receipt
from schemas.documents import parse_yaml
from schemas.errors import InvalidDocument
from schemas.evaluation import EvaluationSuite
from schemas.text import harmless


def run(
    file: Path, who: tuple[Path, str], folder: Path | None, *, at_once: int, is_recorded: bool, as_json: bool
) -> None:
    """Try the cases; exit 1 when too few pass, or when the result was to be put on record and is not.

    `who` is the fleet's home and the operator in it. Those of an agent in `folder` are about no agent of the fleet, so they are not put on record.
    """
    log_quietly()
    source = _read(file)
    suite = parse_yaml(source.decode("utf-8", "replace"), EvaluationSuite, str(file))
    report = run_async(_tried(suite, source, who, folder, at_once))
    receipt = run_async(_recorded(report, *who)) if is_recorded and folder is None else None
    if as_json:
        whole = {"passed": report.is_passed, "cost_usd": report.cost_usd, "report": report, "receipt": receipt}
        print(msgspec.json.format(msgspec.json.encode(whole), indent=2).decode())
    else:
        print(*report.lines(), sep="\n")
    if receipt is not None and receipt.problem:
        print(f"agentbus: the result is not on record: {harmless(receipt.problem)}", file=sys.stderr)
    raise SystemExit(0 if report.is_passed and not (receipt and receipt.problem) else 1)


async def _tried(
    suite: EvaluationSuite, source: bytes, who: tuple[Path, str], folder: Path | None, at_once: int
) -> Report:
    total, done = len(suite.cases) * suite.repeat, 0

    def on_tried(_: Tried) -> None:
        nonlocal done
        done += 1
        if sys.stderr.isatty():
            print(f"\r{done} of {total} cases", end="\n" if done == total else "", file=sys.stderr, flush=True)

    async with _asking(suite, who, folder) as calls:
        return await evaluate(suite, source, calls, at_once=at_once, on_tried=on_tried)


@asynccontextmanager
async def _asking(suite: EvaluationSuite, who: tuple[Path, str], folder: Path | None) -> AsyncIterator[Asked]:
    """An operator on the bus, or the agent in `folder`; then the bus is needed for a judge alone."""
    async with AsyncExitStack() as stack:
        is_judged = any(case.expect.rubric for case in suite.cases)
        calls = await stack.enter_async_context(operator(*who)) if is_judged or folder is None else None
        if folder is None:
            assert calls is not None  # noqa: S101  just opened
            yield calls
            return
        from agents.evaluation.local import in_folder  # it imports what agents are made of

        yield await stack.enter_async_context(in_folder(folder, suite.agent, os.environ, calls))


async def _recorded(report: Report, home: Path, caller: str) -> Receipt:
    async with own_operator(home, caller) as (connection, chosen):
        return await ProposalDesk(connection, chosen).evaluated(report.record())


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InvalidDocument(f"cannot read {file}: {error.strerror}; give the path of a suite of cases") from None
