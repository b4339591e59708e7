"""`agentbus eval`: an operator tries the cases of a suite at a running agent, and puts the result on record."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from agents.cli.people import operator, own_operator
from agents.cli.run import log_quietly, run_async
from agents.evaluation import Report, Tried, evaluate
from approvals.reviewing.desk import ProposalDesk
from schemas.approvals import Receipt
from schemas.documents import parse_yaml
from schemas.errors import InvalidDocument
from schemas.evaluation import EvaluationSuite
from schemas.text import harmless


def run(file: Path, home: Path, caller: str, *, at_once: int, is_recorded: bool, as_json: bool) -> None:
    """Try the cases; exit 1 when too few pass, or when the result was to be put on record and is not."""
    log_quietly()
    source = _read(file)
    suite = parse_yaml(source.decode("utf-8", "replace"), EvaluationSuite, str(file))
    report = run_async(_tried(suite, source, home, caller, at_once))
    receipt = run_async(_recorded(report, home, caller)) if is_recorded else None
    if as_json:
        whole = {"passed": report.is_passed, "cost_usd": report.cost_usd, "report": report, "receipt": receipt}
        print(msgspec.json.format(msgspec.json.encode(whole), indent=2).decode())
    else:
        print(*report.lines(), sep="\n")
    if receipt is not None and receipt.problem:
        print(f"agentbus: the result is not on record: {harmless(receipt.problem)}", file=sys.stderr)
    raise SystemExit(0 if report.is_passed and not (receipt and receipt.problem) else 1)


async def _tried(suite: EvaluationSuite, source: bytes, home: Path, caller: str, at_once: int) -> Report:
    total, done = len(suite.cases) * suite.repeat, 0

    def on_tried(_: Tried) -> None:
        nonlocal done
        done += 1
        if sys.stderr.isatty():
            print(f"\r{done} of {total} cases", end="\n" if done == total else "", file=sys.stderr, flush=True)

    async with operator(home, caller) as calls:
        return await evaluate(suite, source, calls, at_once=at_once, on_tried=on_tried)


async def _recorded(report: Report, home: Path, caller: str) -> Receipt:
    async with own_operator(home, caller) as (connection, chosen):
        return await ProposalDesk(connection, chosen).evaluated(report.record())


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InvalidDocument(f"cannot read {file}: {error.strerror}; give the path of a suite of cases") from None
