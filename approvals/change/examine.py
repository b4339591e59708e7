"""Is this proposal what it says? Computed by the approval service and again, on its own, by the applier.

The diff is applied by git to the base tree; the resulting tree id must be the one proposed, so what a
reviewer reads and what is applied cannot differ. Then every changed entry is checked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from approvals.change.calls import flags_of_call, problem_of_call
from approvals.change.examine_fleet import problem_of_fleet
from approvals.change.flags import flags_of
from approvals.change.kinds import AGENT_FILE, AGENT_FILES, Contents, kind_of
from approvals.change.leaks import secret_in
from approvals.errors import GitFailed
from approvals.git import Entry, Git
from schemas.agent.reading import parse_agent
from schemas.approvals import ChangedFile, FileMode, Proposal, ToolCall
from schemas.errors import InvalidDocument
from schemas.ids import sha256_hex

MAX_FILES = 32
MAX_FILE_BYTES = 256 * 1024
_MODES = frozenset({"100644", "100755"})
_PLAIN_PATH = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}(/[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}){0,4}")


@dataclass(frozen=True, slots=True)
class Examination:
    """`problem` is one sentence when the proposal cannot be accepted, else empty; `flags` are for a reviewer to mind."""

    problem: str
    files: tuple[ChangedFile, ...] = ()
    flags: tuple[str, ...] = ()


def examine(git: Git, proposal: Proposal) -> Examination:
    """Check `proposal` against the repository; writes nothing to it. Who may propose it is checked by the fold."""
    try:
        with git.scratch() as scratch:
            return _examine(scratch, proposal)
    except (GitFailed, InvalidDocument) as error:
        return Examination(str(error))


def _examine(git: Git, proposal: Proposal) -> Examination:
    base = git.tree_in_force(proposal)
    if base is None or base != proposal.base:
        about = "the fleet" if proposal.is_of_fleet else proposal.agent
        return Examination(f"the base has moved: {about} is at {str(base)[:12]} now; propose again from there")
    if isinstance(proposal.call, ToolCall):
        problem = problem_of_call(proposal.call)
        return Examination(problem, flags=() if problem else flags_of_call(proposal.call))
    return _examine_change(git, proposal)


def _examine_change(git: Git, proposal: Proposal) -> Examination:
    base = proposal.base
    tree = git.apply(base, proposal.diff)
    if tree != proposal.tree:
        return Examination(f"the diff gives tree {tree[:12]}, not the proposed {proposal.tree[:12]}")
    if git.diff(base, tree) != proposal.diff:
        return Examination("the diff is not git's own between the two trees, so it may show what is not changed")
    entries = git.changes(base, tree)
    found = _problem_of(git, entries, tree)
    if found:
        return Examination(found)
    files = tuple(_changed_file(git, entry) for entry in entries)
    if files != proposal.files:
        return Examination("the list of files is not what the diff changes")
    problem_of = problem_of_fleet if proposal.is_of_fleet else _problem_of_agent
    before = {entry.path: git.file(proposal.base, entry.path) for entry in entries}
    after = {entry.path: None if entry.is_removed else git.blob(entry.blob) for entry in entries}
    executable = {entry.path for entry in entries if entry.mode == "100755" != entry.old_mode}
    said = problem_of(git, proposal, before, after) or secret_in(before, after)
    return Examination(said, files, flags_of(before, after, executable))


def _problem_of(git: Git, entries: tuple[Entry, ...], tree: str) -> str:
    if not entries:
        return "the proposal changes nothing"
    if len(entries) > MAX_FILES:
        return f"the proposal changes {len(entries)} files; at most {MAX_FILES} can be reviewed at once"
    for entry in entries:
        if not _PLAIN_PATH.fullmatch(entry.path):
            return f"path {entry.path!r} is not allowed: plain names without a leading dot, at most five deep"
        if not entry.is_removed and entry.mode not in _MODES:
            return f"{entry.path} has mode {entry.mode}; only plain files (100644, 100755) are allowed"
        if not entry.is_removed and (problem := _problem_of_blob(git.blob(entry.blob))):
            return f"{entry.path} {problem}"
    paths = git.run("ls-tree", "-r", "-z", "--name-only", tree).decode("utf-8", "replace").split("\0")[:-1]
    names = {path[:end] for path in paths for end in _ends_of_names(path)}
    return "two paths differ only in upper and lower case" if len({n.casefold() for n in names}) < len(names) else ""


def _ends_of_names(path: str) -> list[int]:
    """Where the name of each folder on `path`, and of the file, ends."""
    return [match.start() for match in re.finditer("/|$", path)]


def _problem_of_blob(content: bytes) -> str:
    if len(content) > MAX_FILE_BYTES:
        return f"is {len(content)} bytes; at most {MAX_FILE_BYTES} can be reviewed"
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return "is not UTF-8 text"
    return "contains NUL bytes" if "\0" in text else ""


def _changed_file(git: Git, entry: Entry) -> ChangedFile:
    if entry.is_removed:
        return ChangedFile(path=entry.path, mode="100644")
    mode: FileMode = "100755" if entry.mode == "100755" else "100644"
    return ChangedFile(path=entry.path, mode=mode, sha256=sha256_hex(git.blob(entry.blob)))


def _problem_of_agent(git: Git, proposal: Proposal, before: Contents, after: Contents) -> str:
    kind = "authority" if proposal.is_of_newcomer else kind_of(before, after)
    if kind != proposal.kind:
        return f"this is a change of kind {kind}, not {proposal.kind}"
    present = {name: content for name in AGENT_FILES if (content := git.file(proposal.tree, name)) is not None}
    if not present:
        return f"{AGENT_FILE} would be gone"
    if len(present) > 1:
        return f"there would be both {' and '.join(AGENT_FILES)}; keep one"
    ((name, content),) = present.items()
    parsed = parse_agent(content.decode("utf-8", "replace"), name)
    if parsed.agent.id != proposal.agent:
        return f"{name} would say that the agent is {parsed.agent.id}"
    return ""
