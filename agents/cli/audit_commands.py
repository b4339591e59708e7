"""Reading and checking the audit trail, as an auditor."""

from __future__ import annotations

import asyncio
import difflib
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from agents.cli.people import auditor, fleet_of
from agents.cli.run import log_quietly, run_async
from bus.audit.read import Reader, Record
from bus.audit.render import Piece, plain, render_record
from bus.audit.trust import load_trust
from bus.audit.verify import Report
from bus.audit.verify_stream import find_heads, verify_stream
from bus.surroundings import Home
from schemas.audit import CATALOGUE, DOMAINS, decode_event
from schemas.errors import A2AError, AgentbusError, InvalidDocument

_COLOURS: dict[Piece, str] = {"time": "2", "source": "36", "type": "1", "bad": "31", "detail": "2"}
_PROGRESS_WIDTH = 30


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events to show; empty fields match everything."""

    agent: str = ""
    kind: str = ""
    correlation: str = ""

    def check(self) -> None:
        """Refuse a type that nothing is ever of.

        Raises:
            InvalidDocument: it names the domains and types there are.
        """
        if self.kind and self.kind not in {*CATALOGUE, *DOMAINS}:
            near = difflib.get_close_matches(self.kind, CATALOGUE, n=1)
            hint = f"did you mean {near[0]}?" if near else f"domains are {', '.join(DOMAINS)}"
            raise InvalidDocument(f"there is no event type {self.kind}; {hint}")

    def matches(self, record: Record) -> bool:
        """Whether to show this record. What cannot be read is always shown: it is what an auditor looks for."""
        try:
            event = decode_event(record.payload)
        except msgspec.DecodeError:
            return True
        return (
            self.agent in {"", event.source.rsplit(":", 1)[-1]}
            and (not self.kind or event.short_type == self.kind or event.short_type.startswith(f"{self.kind}."))
            and self.correlation in {"", event.correlationid}
        )


def colours(piece: Piece, text: str) -> str:
    """ANSI colours, for a terminal."""
    code = _COLOURS.get(piece)
    return f"\x1b[{code}m{text}\x1b[0m" if code else text


def line_of(record: Record, *, as_json: bool) -> str:
    """A record as a person or as a machine reads it."""
    if as_json:
        plain_record = {"sequence": record.sequence, "time": record.time, "subject": record.subject}
        event = msgspec.Raw(record.payload) if not record.problem else None
        return msgspec.json.encode({**plain_record, "event": event}).decode()
    return render_record(record, markup=colours if sys.stdout.isatty() else plain)


async def follow(home: Home, start: int = 0, last: int = 0) -> AsyncIterator[Record]:
    """Records from sequence `start`, or the `last` ones, and then every new one."""
    async with auditor(home, fleet_of(home)) as connection:
        reader = Reader(connection)
        first = start or max(1, (await reader.bounds()).last - last + 1)
        async for record in reader.records(first, follow=True, poll_s=0.15):
            yield record


def tail(root: Path, count: int, *, as_json: bool) -> None:
    """Show the last events, then new ones."""
    log_quietly()

    async def main() -> None:
        async for record in follow(Home(root.resolve()), last=count):
            print(line_of(record, as_json=as_json), flush=True)

    run_async(main())


def replay(root: Path, start: int, wanted: Filter, *, as_json: bool) -> None:
    """Show everything that matches."""
    log_quietly()
    wanted.check()
    home = Home(root.resolve())

    async def main() -> None:
        async with auditor(home, fleet_of(home)) as connection:
            async for record in Reader(connection).records(start):
                if wanted.matches(record):
                    print(line_of(record, as_json=as_json))

    run_async(main())


def verify(root: Path, *, as_json: bool) -> None:
    """Check the trail and exit with the verdict."""
    log_quietly()
    report = run_async(_verify(Home(root.resolve())))
    if as_json:
        print(msgspec.json.encode({**_plain(report), "findings": [f._asdict() for f in report.findings]}).decode())
    else:
        _print(report)
    raise SystemExit(report.exit_code)


async def _verify(home: Home) -> Report:
    try:
        trust = load_trust(home.trust)
        heads = find_heads(home.root / "state")
        async with auditor(home, fleet_of(home)) as connection:
            return await verify_stream(Reader(connection), trust, heads, on_progress=_progress)
    except (AgentbusError, A2AError) as error:
        return Report("cannot tell", str(error))


def _progress(done: int, total: int) -> None:
    if sys.stderr.isatty() and total:
        filled = _PROGRESS_WIDTH * done // total
        bar = "#" * filled + "." * (_PROGRESS_WIDTH - filled)
        print(f"\r[{bar}] {done} of {total} events", end="\n" if done >= total else "", file=sys.stderr, flush=True)


def _plain(report: Report) -> dict[str, object]:
    fields = ("verdict", "reason", "found", "events", "slots", "last_sequence")
    return {name: getattr(report, name) for name in fields}


def _print(report: Report) -> None:
    print(
        f"{report.verdict}: {report.events} events of {report.slots} producers, up to sequence {report.last_sequence}"
    )
    if report.reason:
        print(report.reason)
    for finding in report.findings:
        print(f"  sequence {finding.sequence}  {finding.subject}  {finding.problem}")
    if report.found > len(report.findings):
        print(f"  … and {report.found - len(report.findings)} more")


async def cancelled(task: asyncio.Task[None]) -> None:
    """End a task and wait until it has ended."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
