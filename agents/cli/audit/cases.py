"""What has no end, the story of a change, and what was in force at a moment."""

from __future__ import annotations

import datetime
import itertools
import re
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from agents.cli.audit.progress import Progress
from agents.cli.audit.replay import trail_of
from agents.cli.run import log_quietly, run_async
from agents.cli.when import moment_before
from approvals.errors import GitFailed
from approvals.git import BRANCH, Git
from bus.audit.questions.orphans import Orphan, Orphans
from bus.audit.questions.silence import Silences
from bus.audit.questions.state import State, state_at
from bus.audit.questions.story import Story, stories
from bus.audit.select import Selection, selected
from bus.audit.told import told
from bus.surroundings import Home
from schemas.errors import InvalidDocument
from schemas.text import harmless

_DIGEST, _TREE = re.compile("[0-9a-f]{64}"), re.compile("[0-9a-f]{40}(?:[0-9a-f]{24})?")
_PROPOSAL = re.compile(r"p-[a-z2-7]{8}")


class Begun(NamedTuple):
    """Whose beginnings are of interest, and from what age on while their process runs; as typed."""

    agent: str = ""
    older: str = ""


def orphans(root: Path, within: Selection, begun: Begun, *, as_json: bool) -> None:
    """Print what was begun and has no known end; exit 1 when there is something.

    All agents' events are read, whoever's beginnings are asked for: an end may be another's to tell.
    """
    log_quietly()
    now = datetime.datetime.now(datetime.UTC)
    limit = moment_before("--older", begun.older, now) or now

    async def main() -> list[Orphan]:
        fold, silences = Orphans(), Silences()
        async with trail_of(root) as reader:
            progress = await Progress.over(reader)
            async for record in selected(reader, within):
                progress.at(record.sequence)
                for one in told(record):
                    fold.add(one)
                    silences.add(one)
            progress.end()
        found = itertools.chain(fold.found(), silences.found(now))
        mine = (one for one in found if begun.agent in {"", one.writer})
        due = (one for one in mine if not one.not_before or _time(one.not_before) < limit)
        return [one for one in due if one.is_over or _time(one.time) < limit]

    found = run_async(main())
    if as_json:
        print(
            msgspec.json.encode(
                [{**msgspec.structs.asdict(one), "age_s": _age_s(one.time, now)} for one in found]
            ).decode()
        )
    elif not found:
        print("everything that was begun has an end")
    else:
        rows = [
            [_age(_age_s(one.time, now)), one.writer, "ended" if one.is_over else "runs", str(one.sequence), one.what]
            for one in found
        ]
        print(_table(["AGE", "AGENT", "PROCESS", "SEQUENCE", "WHAT"], rows))
    raise SystemExit(1 if found else 0)


def why(root: Path, proposal: str, *, as_json: bool) -> None:
    """Print the story of a change; exit 1 where the trail has none of that id."""
    log_quietly()
    if not _PROPOSAL.fullmatch(proposal):
        raise InvalidDocument(
            f"{proposal[:40]!r} is no proposal's id: they look like p-7q2fabcd; see: agentbus audit replay --type proposal"
        )

    async def main() -> list[Story]:
        async with trail_of(root) as reader:
            return await stories(reader, proposal)

    found = run_async(main())
    home = Home(root.resolve())
    if as_json:
        print(
            msgspec.json.encode(
                [{**msgspec.to_builtins(story), "record": _record(home, story)} for story in found]
            ).decode()
        )
    elif not found:
        print(f"nothing on the trail is about {proposal}; see: agentbus audit replay --type proposal")
    for story in found if not as_json else ():
        print("\n".join(_story_lines(story, _record(home, story))))
    raise SystemExit(0 if found else 1)


def state(root: Path, at: str, *, as_json: bool) -> None:
    """Print what was in force at a moment, by default now."""
    log_quietly()
    now = datetime.datetime.now(datetime.UTC)
    moment = moment_before("--at", at, now) or now

    async def main() -> State:
        async with trail_of(root) as reader:
            return await state_at(reader, moment)

    found = run_async(main())
    if as_json:
        print(msgspec.json.encode(found).decode())
        return
    print(f"in force at {found.at}, up to stream sequence {found.sequence}")
    if found.policy:
        print(f"policy {found.policy[:12]}, fleet {found.fleet[:12]} (sha256 of policy.yaml and fleet.yaml)")
    processes = [
        [p.agent, p.slot, p.state, p.tree[:12], p.version, p.since, p.proposal or "-"] for p in found.processes
    ]
    print(_table(["AGENT", "SLOT", "STATE", "TREE", "VERSION", "SINCE", "BY"], processes))
    if found.proposals:
        waiting = [[p.proposal, p.agent, p.state, p.digest[:12], p.since] for p in found.proposals]
        print(_table(["PROPOSAL", "AGENT", "STATE", "DIGEST", "SINCE"], waiting))
    else:
        print("no proposal waited")
    if found.processes:
        repository = Home(root.resolve()).repository
        print(f"read one: git -C {repository} show {found.processes[0].tree[:12]}:agent.yaml")


def _story_lines(story: Story, record: dict[str, Any]) -> list[str]:
    lines = [
        f"{story.proposal}: {story.kind or 'a change'} of {story.agent}, {story.state}",
        f"digest  {story.digest or 'not on the trail'}",
        f"change  {story.base[:12]} → {story.tree[:12]}"
        + (f"  {', '.join(record['files'])}" if record["files"] else ""),
    ]
    if story.came_from or story.correlation:
        lines.append(f"from    {story.came_from or 'work that is not on the trail'} {story.task}".rstrip())
    if story.correlation:
        lines.append(f"        agentbus audit replay --tree {story.correlation}")
    lines.append("")
    lines += [f"{step.time}  {step.what}" + (f": {step.reason}" if step.reason else "") for step in story.steps]
    if record["commit"]:
        lines += ["", f"commit  {record['commit']}", f"        {record['approved_by']}"]
    elif story.state == "applied":
        lines += ["", "commit  none with this digest is in this home's repository"]
    return [harmless(line) for line in lines]


def _record(home: Home, story: Story) -> dict[str, Any]:
    """What the fleet's repository says of the change, where it is at hand: it is the applier's record, not the trail."""
    found: dict[str, Any] = {"commit": "", "approved_by": "", "files": []}
    if not (home.repository / "HEAD").exists() or not _DIGEST.fullmatch(story.digest):
        return found
    git = Git(home.repository)
    try:
        log = git.line(
            "log",
            "-1",
            "--format=%H%x00%(trailers:key=Approved-by)",
            "--fixed-strings",
            f"--grep=Digest: {story.digest}",
            BRANCH,
        )
        found["commit"], _, found["approved_by"] = log.partition("\0")
        if _TREE.fullmatch(story.base) and _TREE.fullmatch(story.tree):  # the agent's own words, and arguments of git
            found["files"] = [entry.path for entry in git.changes(story.base, story.tree)]
    except GitFailed:
        pass  # the trees of a change that was never applied are not in the repository
    return found


def _table(head: list[str], rows: list[list[str]]) -> str:
    """Columns as wide as what is in them; the last one may be as long as it likes."""
    safe = [head, *([harmless(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*safe, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in safe)
    return "\n".join(lines)


def _time(text: str) -> datetime.datetime:
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        return datetime.datetime.fromtimestamp(0, datetime.UTC)
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)


def _age_s(time: str, now: datetime.datetime) -> int:
    return max(0, int((now - _time(time)).total_seconds()))


def _age(seconds: int) -> str:
    if seconds < 60:
        return f"{seconds}s"
    minutes = seconds // 60
    if minutes < 60:
        return f"{minutes}m"
    return f"{minutes // 60}h{minutes % 60:02}m" if minutes < 2880 else f"{minutes // 1440}d"
