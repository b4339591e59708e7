"""Proposals of an operator: handed in, listed, looked at, taken back."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from agents.cli.proposals.pages import page, state_in_words, table
from agents.cli.run import EX_TEMPFAIL, log_quietly, run_async
from agents.cli.shown import told_plainly
from agents.people import own_operator
from approvals.change.edits import Change, Patch, Removal, WholeFile
from approvals.change.propose import build_fleet_proposal, build_proposal, files_in_force, no_files_yet
from approvals.git import Git
from approvals.reviewing.desk import ProposalDesk
from bus.surroundings import Home
from schemas.approvals import Receipt, Standing
from schemas.errors import InvalidDocument
from schemas.text import harmless

_POLL_S = 0.5


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an operator wants to change, as typed."""

    agent: str
    patch: Path | None
    files: tuple[str, ...]
    removed: tuple[str, ...]
    why: str
    is_of_fleet: bool
    folder: Path | None = None
    """Of a new agent: all its files."""

    def changes(self) -> list[Change]:
        """What is to be different, in the order patch, files, removals.

        Raises:
            InvalidDocument: nothing, or not about one thing, or without a reason; a file cannot be read.
        """
        if bool(self.agent) == self.is_of_fleet:
            raise InvalidDocument("say what changes: --agent NAME, or --fleet")
        if not self.why.strip():
            raise InvalidDocument("say why, for those who review it: --why TEXT")
        patches: list[Change] = [Patch(_read(self.patch))] if self.patch else []
        whole = _files_of(self.folder) if self.folder else []
        changes = [*patches, *whole, *map(_whole_file, self.files), *map(Removal, self.removed)]
        if not changes:
            raise InvalidDocument(
                "say how: --patch FILE, --file PATH=FILE or --remove PATH; --folder DIR for a new agent"
            )
        return changes

    def build(self, home: Home) -> bytes:
        """The proposal, from what is in force in `home`; raises as `build_proposal`."""
        changes = self.changes()
        if not (home.repository / "HEAD").exists():
            raise InvalidDocument(f"there is no fleet in {home.root}; run: agentbus up")
        git = Git(home.repository)
        if self.folder and self.is_of_fleet:
            raise InvalidDocument("a new agent's folder goes with --agent NAME, not with --fleet")
        files = no_files_yet(git, self.agent) if self.folder else files_in_force(git, self.agent)
        with files as folder:
            now_ns = time.time_ns()
            if self.is_of_fleet:
                return build_fleet_proposal(folder, changes, rationale=self.why, now_ns=now_ns)
            return build_proposal(self.agent, folder, changes, rationale=self.why, now_ns=now_ns)


def propose(home: Path, caller: str, wanted: Wanted, wait_s: float | None, *, as_json: bool) -> None:
    """Hand a proposal in, and print its receipt; after waiting up to `wait_s`, where it stands then.

    Exits with 1 when it is not reviewed. With `wait_s`: 0 applied, 1 ended otherwise, 75 still goes on.
    """
    data = wanted.build(Home(home.resolve()))

    async def hand_in(desk: ProposalDesk) -> tuple[Receipt, Standing | None]:
        receipt = await desk.propose(data)
        if receipt.problem or wait_s is None:
            return receipt, None
        if not as_json:
            _print_receipt(receipt)
        return receipt, await _ended(desk, receipt.proposal, wait_s)

    receipt, standing = asked(home, caller, hand_in)
    if standing is not None:
        _print_end(standing, as_json=as_json)
    if as_json:
        _print_json(receipt)
    if receipt.problem:
        print(f"agentbus: {receipt.proposal} is not reviewed: {harmless(receipt.problem)}", file=sys.stderr)
        raise SystemExit(1)
    if not as_json:
        _print_receipt(receipt)


def show_all(home: Path, caller: str, *, everything: bool, as_json: bool) -> None:
    """Print a row per proposal, the newest first."""
    found = asked(home, caller, lambda desk: desk.all(everything=everything))
    if as_json:
        _print_json({"proposals": found})
    else:
        print(table(found))


def show(home: Path, caller: str, proposal: str, *, as_json: bool) -> None:
    """Print all there is to know of one."""
    found = asked(home, caller, lambda desk: desk.history(proposal))
    if as_json:
        _print_json(found)
    else:
        print(page(found))


def withdraw(home: Path, caller: str, proposal: str, why: str) -> None:
    """Take one back; exits with 1 when it stays as it is."""

    async def take_back(desk: ProposalDesk) -> tuple[Receipt, Standing]:
        return await desk.withdraw(proposal, why), await desk.standing(proposal)

    receipt, standing = asked(home, caller, take_back)
    if standing.state != "withdrawn":
        problem = harmless(receipt.problem or f"it is {standing.state}")
        print(f"agentbus: {proposal} was not withdrawn: {problem}", file=sys.stderr)
        raise SystemExit(1)
    print(state_in_words(standing))


def asked[T](home: Path, caller: str, what: Callable[[ProposalDesk], Awaitable[T]]) -> T:
    """The answer to what is asked as operator `caller`."""
    log_quietly()

    async def main() -> T:
        async with own_operator(home, caller) as (connection, operator):
            return await what(ProposalDesk(connection, operator))

    return run_async(told_plainly(main()))


async def _ended(desk: ProposalDesk, proposal: str, wait_s: float) -> Standing:
    """Where it stands at its end, or after `wait_s`."""
    deadline = time.monotonic() + wait_s
    while True:
        standing = await desk.standing(proposal)
        if standing.is_final or time.monotonic() > deadline:
            return standing
        await asyncio.sleep(_POLL_S)


def _print_end(standing: Standing, *, as_json: bool) -> None:
    """Print where it stands, and exit with what that means."""
    if as_json:
        _print_json(standing)
    else:
        print(state_in_words(standing))
    ended_as = 0 if standing.state == "applied" else 1
    raise SystemExit(ended_as if standing.is_final else EX_TEMPFAIL)


def _print_receipt(receipt: Receipt) -> None:
    print(f"{receipt.proposal} waits for approval; nothing has changed yet", flush=True)


def _print_json(value: object) -> None:
    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def _whole_file(typed: str) -> WholeFile:
    path, is_given, file = typed.partition("=")
    if not is_given or not path or not file:
        raise InvalidDocument(f"--file is PATH=FILE, for example --file agent.yaml=new.yaml, not {typed[:80]!r}")
    return WholeFile(path, _read(Path(file)))


def _files_of(folder: Path) -> list[Change]:
    """Every file of a folder, but what begins with a dot and what Python keeps beside its modules."""
    names = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    plain = [name for name in names if not any(part.startswith(".") or part == "__pycache__" for part in name.parts)]
    if not plain:
        raise InvalidDocument(f"{folder} is no folder with an agent's files")
    return [WholeFile(str(name), _read(folder / name)) for name in plain]


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InvalidDocument(f"{file} cannot be read: {error.strerror}") from None
