"""What a reviewer reads in a terminal: plain text, at most 80 columns, nothing an agent wrote left alive.

The first line of every answer starts with `OK ` or `ERR `, because `nats req` exits 0 either way. The
last line of `show` is the exact command to approve.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from approvals.machine import Case
from schemas.approvals import ChangedFile
from schemas.ids import rfc3339
from schemas.text import harmless

WIDTH = 80
_MAX_DIFF_LINES = 400


def error(problem: str, hint: str = "") -> str:
    """A refusal, with what to do."""
    lines = _wrapped(problem, "ERR ", "    ")
    return _text([*lines, *(_wrapped(hint, "try ", "    ") if hint else [])])


def listing(cases: Iterable[Case], now_ns: int) -> str:
    """A table of proposals, newest first."""
    rows = sorted(cases, key=lambda case: -case.sequence)
    head = f"OK {len(rows)} proposal{'' if len(rows) == 1 else 's'}"
    if not rows:
        return _text([head, "Nothing waits for approval."])
    table = [f"{'ID':<11}{'AGENT':<16}{'KIND':<8}{'RISK':<8}{'STATE':<12}{'VOTES':<7}LEFT"]
    table += [
        f"{case.id:<11}{harmless(case.proposal.agent):<16.15}{case.proposal.kind:<8}{case.requirement.risk:<8}"
        f"{case.state:<12}{f'{case.approvals()}/{case.requirement.quorum}':<7}{_left(case, now_ns)}"
        for case in rows
    ]
    return _text([head, *table, f"Read one: nats req approvals.show {rows[0].id}"])


def show(case: Case, now_ns: int) -> str:
    """One proposal on one page."""
    proposal = case.proposal
    needed = f"{case.approvals()} of {case.requirement.quorum} approvals"
    groups = f" by {', '.join(sorted(case.requirement.groups))}" if case.requirement.groups else ""
    lines = [
        f"OK {case.id} is {case.state}",
        *_wrapped(
            f"{proposal.agent} asks to change its own {proposal.kind}; risk {case.requirement.risk}",
            "agent     ",
            " " * 10,
        ),
        f"proposed  {rfc3339(case.at_ns)}, {_left(case, now_ns)} left to decide",
        *_wrapped(needed + groups, "votes     ", " " * 10),
        *_wrapped(case.requirement.rule, "because   ", " " * 10),
        *(_wrapped(case.note, "note      ", " " * 10) if case.note else []),
        *_wrapped(proposal.rationale or "(none given)", "why       ", " " * 10),
        *[line for cast in case.votes for line in _vote_line(cast.reviewer, cast.vote.verb, cast.vote.reason)],
        "",
        *[line for file in proposal.files for line in _file_line(file)],
        *_diff(case),
        "",
        f"digest {case.digest}",
        _command(case),
    ]
    return _text(lines)


def history(case: Case) -> str:
    """Every vote of a proposal and its end."""
    first = _wrapped(f"proposed by {case.proposal.agent}", f"{rfc3339(case.at_ns)}  ", " " * 26)
    lines = [f"OK {case.id} is {case.state}", *first]
    for cast in case.votes:
        lines += _wrapped(
            f"{cast.reviewer}: {cast.vote.verb} {cast.vote.reason}".rstrip(), f"{rfc3339(cast.at_ns)}  ", " " * 26
        )
    return _text([*lines, *(_wrapped(case.note, "note  ", "      ") if case.note else [])])


def voted(case: Case, verb: str, *, is_new: bool) -> str:
    """The answer to a vote."""
    done = {"approve": "approved", "reject": "rejected", "revoke": "revoked your vote on"}[verb]
    first = f"OK you {done} {case.id}" + ("" if is_new else " (already recorded)")
    state = f"{case.approvals()} of {case.requirement.quorum} approvals; the proposal is {case.state}"
    following = {"approved": "The applier puts it to work now; see approvals.history " + case.id}
    return _text([first, state, *([following[case.state]] if case.state in following else [])])


def _command(case: Case) -> str:
    # longer than 80 columns on purpose: the one line that is to be copied must not be broken
    if case.state != "open":
        return f"This proposal is {case.state}; there is nothing to vote on."
    return f"nats req approvals.approve '{case.id} {case.digest} your reason'"


def _vote_line(reviewer: str, verb: str, reason: str) -> list[str]:
    return _wrapped(f"{verb} {reason}".rstrip(), f"vote      {reviewer}: ", " " * 10)


def _file_line(file: ChangedFile) -> list[str]:
    return _wrapped(f"{file.mode} {file.path}{'' if file.sha256 else ' (removed)'}", "file      ", " " * 10)


def _diff(case: Case) -> list[str]:
    if case.state == "invalid":
        return ["(its diff is not shown: nobody checked that it says what would change)"]
    diff = case.proposal.diff
    # Only a newline ends a line: what follows another break must not pass for a header, which is left out.
    whole = diff.removesuffix("\n").split("\n") if diff else []
    lines = [harmless(line) for line in whole if not line.startswith(("index ", "diff --git"))]
    shown = [line if len(line) <= WIDTH else line[: WIDTH - 1] + "…" for line in lines[:_MAX_DIFF_LINES]]
    hidden = len(lines) - len(shown)
    cut = any(len(line) > WIDTH for line in lines)
    notes = ([f"({hidden} more lines)"] if hidden else []) + (
        ["(… marks a line cut at 80 columns; -H Accept:application/json shows it whole)"] if cut else []
    )
    return [*shown, *notes]


def _left(case: Case, now_ns: int) -> str:
    if case.state != "open":
        return "-"
    minutes = max(0, case.expires_at_ns - now_ns) // 60_000_000_000
    return f"{minutes // 60}h{minutes % 60:02}m"


def _wrapped(text: str, first: str, rest: str) -> list[str]:
    safe = harmless(" ".join(text.split()))
    return textwrap.wrap(safe, WIDTH, initial_indent=first, subsequent_indent=rest) or [first.rstrip()]


def _text(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"
