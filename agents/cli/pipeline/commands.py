"""Runs a pipeline, as an operator; the whole conversation can be shown as a tree afterwards."""

from __future__ import annotations

import io
import os
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from agents.cli.pipeline.conversations import lines_of, rows_of
from agents.cli.pipeline.screen import Screen
from agents.cli.run import log_quietly, run_async
from agents.people import operator
from agents.pipeline.errors import NotGoodEnough, RunUnlike
from agents.pipeline.journal import Begun, Journal
from agents.pipeline.running import Done, Run
from bus.requests.caller import Caller
from schemas.documents import parse_yaml
from schemas.errors import AgentbusError, InvalidDocument
from schemas.ids import sha256_hex, ulid
from schemas.pipeline import Pipeline
from schemas.text import harmless
from schemas.usage import amount_of

_RUN = re.compile(r"[a-z0-9][a-z0-9_-]{0,70}")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was typed; `input` None: nothing was."""

    file: Path
    input: str | None = None
    run: str = ""
    resume: str = ""
    budget: str = ""
    is_json: bool = False
    has_tree: bool = False


def run(home: Path, caller: str, wanted: Wanted) -> None:
    """Run the pipeline to its end, and print its output; exit 1 when the judge was not content.

    Raises:
        InvalidDocument: the file, or what was typed, cannot be used. AgentbusError: the run stopped; it can be resumed.
    """
    log_quietly()
    pipeline, digest = _read(wanted.file)
    name = _name(wanted, pipeline)
    with Journal.opened(home.resolve() / "pipelines" / f"{name}.jsonl", _begun(wanted, pipeline, digest)) as journal:
        if journal.begun.digest != digest:
            raise RunUnlike(f"{wanted.file} is not what run {name} was begun with; put it back, or begin a new run")
        screen = Screen(pipeline, io.StringIO() if wanted.is_json else sys.stderr)
        screen.run(name)
        limit = wanted.budget or journal.begun.budget_usd
        budget = amount_of(limit, "--budget") if limit else None
        make = partial(Run, name, pipeline, journal=journal, telling=screen, budget_usd=budget)
        ended = _ended(home, caller, make, screen)
    _print(home, ended, wanted)
    if not ended.is_enough:
        raise SystemExit(1)


@dataclass(frozen=True, slots=True)
class _Ended:
    """How a run ended."""

    run: Run
    output: str
    is_enough: bool


def _ended(home: Path, caller: str, make: Callable[[Caller], Run], screen: Screen) -> _Ended:
    names: list[str] = []

    async def main() -> _Ended:
        async with operator(home, caller) as calls:
            running = make(calls)
            names.append(running.name)
            try:
                output, is_enough = await running.output(), True
            except NotGoodEnough as error:
                output, is_enough = error.output, False
            screen.total(running.finished, running.cost)
            return _Ended(running, output, is_enough)

    try:
        return run_async(main())
    except (AgentbusError, KeyboardInterrupt):
        screen.stopped()
        if names:
            print(f"agentbus: the run has stopped; it goes on with --resume {names[0]}", file=sys.stderr)
        raise


def _read(file: Path) -> tuple[Pipeline, str]:
    try:
        text = file.read_bytes()
    except OSError as error:
        raise InvalidDocument(f"cannot read {file}: {error.strerror}") from None
    return parse_yaml(text.decode("utf-8", "replace"), Pipeline, file.name), sha256_hex(text)


def _name(wanted: Wanted, pipeline: Pipeline) -> str:
    if wanted.run and wanted.resume:
        raise InvalidDocument("give --run or --resume, not both")
    name = wanted.resume or wanted.run or f"{pipeline.name}-{ulid(time.time_ns(), os.urandom(10)).lower()}"
    if not _RUN.fullmatch(name):
        raise InvalidDocument(f"{name!r} is no name of a run: a-z, 0-9, _ and -, at most 71 of them")
    return name


def _begun(wanted: Wanted, pipeline: Pipeline, digest: str) -> Begun | None:
    if wanted.resume:
        if wanted.input is not None:
            raise InvalidDocument("a run that is resumed has its input; leave --input away")
        return None
    if wanted.input is None:
        raise InvalidDocument("say what the pipeline is to work on: --input TEXT, or --input - for standard input")
    text = sys.stdin.read() if wanted.input == "-" else wanted.input
    limit = wanted.budget or (f"{pipeline.budget_usd:f}" if pipeline.budget_usd is not None else "")
    return Begun(pipeline=pipeline.name, digest=digest, input=text, budget_usd=limit)


def _print(home: Path, ended: _Ended, wanted: Wanted) -> None:
    if wanted.is_json:
        document = _document(ended)
        if wanted.has_tree:
            document["tree"] = rows_of(home, ended.run)
        print(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())
        return
    print(harmless(ended.output, keep="\n\t"))
    if wanted.has_tree:
        print()
        print("\n".join(lines_of(home, ended.run)))


def _document(ended: _Ended) -> dict[str, Any]:
    cost = ended.run.cost
    return {
        "run": ended.run.name,
        "pipeline": ended.run.pipeline.name,
        "is_good_enough": ended.is_enough,
        "output": ended.output,
        "cost": {
            "input_tokens": cost.input_tokens,
            "output_tokens": cost.output_tokens,
            "cost_usd": None if cost.cost_usd is None else float(cost.cost_usd),
        },
        "steps": [_step(done) for done in ended.run.finished],
    }


def _step(done: Done) -> dict[str, Any]:
    return {
        "step": done.step.id,
        "round": done.round,
        "agent": done.step.agent,
        "task": done.task.id,
        "done_before": done.is_known,
        "usage": done.usage.as_json(),
    }
