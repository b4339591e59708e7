"""What a reviewer reads in a terminal: plain text, at most 80 columns, nothing an agent wrote left alive.

The first line of every answer starts with `OK ` or `ERR `, because `nats req` exits 0 either way. The
last line of `show` is the exact command to approve.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from approvals.change.calls import lines_of
from approvals.verdict.machine import VOTABLE, Case, Evaluated
from approvals.verdict.panel import Panel
from schemas.approvals import ChangedFile, ToolCall
from schemas.ids import rfc3339
from schemas.text import harmless

WIDTH = 80
_MAX_DIFF_LINES = 400


def error(problem: str, hint: str = "") -> str:
    """A refusal, with what to do."""
    lines = _wrapped(problem, "ERR ", "    ")
    return _text([*lines, *(_wrapped(hint, "try ", "    ") if hint else [])])


def listing(cases: Iterable[Case], now_ns: int, left_out: int = 0) -> str:
    """A table of proposals, newest first; `left_out` older ones are not in it."""
    rows = sorted(cases, key=lambda case: -case.sequence)
    total = len(rows) + left_out
    head = f"OK {total} proposal{'' if total == 1 else 's'}"
    if not rows:
        return _text([head, "Nothing waits for approval."])
    table = [f"{'ID':<11}{'AGENT':<16}{'KIND':<10}{'RISK':<7}{'STATE':<12}{'VOTES':<6}LEFT"]
    table += [
        f"{case.id:<11}{harmless(case.proposal.agent or '(fleet)'):<16.15}{case.proposal.kind:<10}"
        f"{case.requirement.risk:<7}{case.state:<12}"
        f"{f'{case.approvals()}/{case.requirement.quorum}':<6}{_left(case, now_ns)}"
        for case in rows
    ]
    older = [f"and {left_out} older; approvals.show ID and approvals.history ID read those too"] if left_out else []
    return _text([head, *table, *older, f"Read one: nats req approvals.show {rows[0].id}"])


def show(case: Case, now_ns: int) -> str:
    """One proposal on one page."""
    proposal = case.proposal
    left = f", {_left(case, now_ns)} left to decide" if case.state in VOTABLE else ""
    lines = [
        f"OK {case.id} is {_words(case)}",
        *_field("agent" if proposal.agent else "fleet", f"{_asks(case)}; risk {case.requirement.risk}"),
        f"proposed  {rfc3339(case.at_ns)}{left}",
        *[line for number, panel in enumerate(case.panels) for line in _panel(case, number, panel)],
        *_field("note", case.note),
        *_field("why", proposal.rationale or "(none given)"),
        *_field("checks", case.checks or _not_tried(case)),
        *[line for flag in case.flags for line in _field("mind", flag)],
        *[line for told in case.evaluations for line in _field("evaluated", evaluated(told))],
        *[line for cast in case.votes for line in _vote_line(cast.reviewer, cast.vote.verb, cast.vote.reason)],
        "",
        *[line for file in proposal.files for line in _file_line(file)],
        *_diff(case),
        "",
        f"digest {case.digest}",
        _command(case),
    ]
    return _text(lines)


def evaluated(told: Evaluated) -> str:
    """How an agent did when it was evaluated, in one line; the words are the operator's."""
    about = told.evaluation
    same = "answers stayed the same in a replay" if about.way == "replay" else "cases passed"
    cost = f", {about.cost_usd:.4f} USD" if about.cost_usd is not None else ""
    said = f": {harmless(about.summary)}" if about.summary else ""
    return f"by {told.operator}, {about.passed} of {about.cases} {same}{cost}{said}"


def _not_tried(case: Case) -> str:
    return "not finished yet" if case.state == "open" and case.proposal.kind != "call" else ""


_GLASS = {"halt": "stopped", "revert": "took back the last change of"}


def _asks(case: Case) -> str:
    """Who wants what, in one clause."""
    kind, about = case.proposal.kind, case.proposal.agent
    if isinstance(case.proposal.call, ToolCall):
        return f"{about} asks to run its tool {harmless(case.proposal.call.tool)} once, with these arguments"
    if kind in _GLASS:
        return f"{case.proposer} broke the glass and {_GLASS[kind]} {about}"
    if case.proposal.is_of_newcomer:
        return f"{case.proposer} asks for a new agent, {harmless(about)}"
    if case.proposer == about:
        return f"{about} asks to change its own {kind}"
    return f"{case.proposer} asks to change the {kind} of {about or 'the fleet'}"


def _words(case: Case) -> str:
    return case.state.replace("_", " ")


def _panel(case: Case, number: int, panel: Panel) -> list[str]:
    """What one set of rules asks for; the second one is that of the rules that the proposal would bring."""
    needed = panel.requirement
    groups = f" by {', '.join(sorted(needed.groups))}" if needed.groups else ""
    under = "" if number == 0 else ", under the rules that it brings"
    votes = f"{panel.approvals(case.approving())} of {needed.quorum} approvals{groups}{under}"
    return [*_field("votes", votes), *_field("because", needed.rule)]


def _field(name: str, text: str) -> list[str]:
    return _wrapped(text, f"{name:<10}", " " * 10) if text else []


def history(case: Case) -> str:
    """Every vote of a proposal and its end."""
    first = _wrapped(f"proposed by {case.proposer}", f"{rfc3339(case.at_ns)}  ", " " * 26)
    lines = [f"OK {case.id} is {_words(case)}", *first]
    for cast in case.votes:
        lines += _wrapped(
            f"{cast.reviewer}: {cast.vote.verb} {cast.vote.reason}".rstrip(), f"{rfc3339(cast.at_ns)}  ", " " * 26
        )
    return _text([*lines, *(_wrapped(case.note, "note  ", "      ") if case.note else [])])


def voted(case: Case, verb: str, *, is_new: bool) -> str:
    """The answer to a vote."""
    done = {"approve": "approved", "reject": "rejected", "revoke": "revoked your vote on"}[verb]
    first = f"OK you {done} {case.id}" + ("" if is_new else " (already recorded)")
    state = f"{case.approvals()} of {case.requirement.quorum} approvals; the proposal is {_words(case)}"
    following = {
        "approved": "The applier puts it to work now; see approvals.history " + case.id,
        "allowed": "The agent runs it once, with these arguments",
    }
    return _text([first, state, *([following[case.state]] if case.state in following else [])])


def _command(case: Case) -> str:
    # longer than 80 columns on purpose: the one line that is to be copied must not be broken
    if case.state not in VOTABLE:
        return f"This proposal is {_words(case)}; there is nothing to vote on."
    return f"nats req approvals.approve '{case.id} {case.digest} your reason'"


def _vote_line(reviewer: str, verb: str, reason: str) -> list[str]:
    return _wrapped(f"{verb} {reason}".rstrip(), f"vote      {reviewer}: ", " " * 10)


def _file_line(file: ChangedFile) -> list[str]:
    return _wrapped(f"{file.mode} {file.path}{'' if file.sha256 else ' (removed)'}", "file      ", " " * 10)


def _call(call: ToolCall) -> list[str]:
    """The arguments whole, however long: whoever allows them has been shown them. Nothing of them begins a line."""
    pieces = [piece for line in lines_of(call) for piece in _pieces(harmless(line), WIDTH - 4)]
    return [f"  {piece}" for piece in pieces] or ["  (no arguments)"]


def _pieces(line: str, width: int) -> list[str]:
    """The line in as many as it takes; each that goes on ends in a backslash."""
    pieces = [line[begin : begin + width] for begin in range(0, len(line), width)] or [""]
    return [*(f"{piece}\\" for piece in pieces[:-1]), pieces[-1]]


def _diff(case: Case) -> list[str]:
    if case.state == "invalid":
        return ["(its diff is not shown: nobody checked that it says what would change)"]
    if isinstance(case.proposal.call, ToolCall):
        return _call(case.proposal.call)
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
    if case.state not in VOTABLE:
        return "-"
    minutes = max(0, case.expires_at_ns - now_ns) // 60_000_000_000
    return f"{minutes // 60}h{minutes % 60:02}m"


def _wrapped(text: str, first: str, rest: str) -> list[str]:
    safe = harmless(" ".join(text.split()))
    return textwrap.wrap(safe, WIDTH, initial_indent=first, subsequent_indent=rest) or [first.rstrip()]


def _text(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"
