"""May this tree of the fleet's own files be put in force? Asked by provisioning under systemd, which the applier starts.

The applier only names a tree. Everything else is taken from where it cannot write: what is in force now from
provisioning's own repository, proposals and votes from the server's record. So whoever has the applier's account gets
in force what enough people approved within the time for that, and nothing else.
"""

from __future__ import annotations

import os
import re
import stat

from approvals.applying.provisioned import Provisioned
from approvals.change.examine import examine
from approvals.repository import Rulebook
from approvals.verdict.fold import Recorded
from approvals.verdict.machine import Case, at_time
from approvals.verdict.records import begin, feed
from bus.surroundings import Home
from schemas.errors import AgentbusError, InvalidDocument

_TREE = re.compile(r"[0-9a-f]{40}")
_LONGEST = 64
_BY_HAND = "if its files were changed by hand, root runs `agentbus provision`; else propose again"


class NotGranted(AgentbusError):
    """The record does not say that people want this in force; nothing was changed."""


def wanted_tree(home: Home) -> str:
    """What the applier wants in force.

    Raises:
        InvalidDocument: the file is not a plain one with a tree id. It is another user's, so it may be anything.
    """
    path = home.wanted_fleet
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            is_plain = stat.S_ISREG(os.fstat(descriptor).st_mode)
            text = file.read(_LONGEST).decode("ascii", "replace").strip() if is_plain else ""
    except OSError as error:
        raise InvalidDocument(f"{path} cannot be read: {error.strerror}") from None
    if not _TREE.fullmatch(text):
        raise InvalidDocument(f"{path} is not a file with the id of a tree")
    return text


def granted(book: Provisioned, found: list[tuple[str, Recorded]], wanted: str, now_ns: int) -> Case | None:
    """The approved case that leads from what is in force to `wanted`; None when that is in force already.

    Raises:
        NotGranted: there is none, or its time is over, or it is not what it says.
    """
    if book.tree == wanted:
        return None
    case = _approved(book, found, wanted, now_ns)
    limit_s = book.rules.policy.apply_within_s
    decided_ns = decided_at(case)
    if decided_ns <= book.decided_ns:
        raise NotGranted(f"{case.id} was approved before what is in force now; propose again")
    if now_ns > decided_ns + limit_s * 1_000_000_000:
        raise NotGranted(f"{case.id} was approved more than {limit_s / 3600:g} hours ago; propose again")
    if problem := examine(book.git, case.proposal).problem:
        raise NotGranted(f"{case.id}: {problem}")
    return case


def decided_at(case: Case) -> int:
    """When the server stored the vote that decided."""
    return next(cast.at_ns for cast in case.votes if cast.sequence == case.verdict_sequence)


def _approved(book: Provisioned, found: list[tuple[str, Recorded]], wanted: str, now_ns: int) -> Case:
    ledger = begin(book.rules, Rulebook(book.git), found)
    for stream, record in found:
        feed(ledger, stream, record)
    present = book.tree
    cases = [
        case
        for case in ledger.cases.values()
        if case.proposal.is_of_fleet and (case.proposal.base, case.proposal.tree) == (present, wanted)
        if at_time(case, now_ns).state == "approved"
    ]
    if not cases:
        raise NotGranted(
            f"nobody approved to change the fleet from tree {present[:12]}, which is in force, to {wanted[:12]}; {_BY_HAND}"
        )
    return max(cases, key=lambda case: case.verdict_sequence)
