"""The parts of a trail that was rotated: archives, which are sealed streams, and AUDIT, which goes on.

    AUDIT_1_30000           stream sequences 1 to 30000
    AUDIT_30001_81234       those after them
    AUDIT                   all that came since; of what is in archives a copy of each subject's last message

AUDIT lists its archives in its own metadata, so whoever may look at it knows them; the list is set by the very change
that lets AUDIT go on. An archive says in its metadata how many messages it holds and what their Merkle root is. None
of that is believed for its own sake: chains, signatures and checkpoints are over the messages, whatever streams they lie in.

Copies, also of what is before it, which an archive may hold, have lost headers: nobody reads them from there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from bus.errors import TrailBroken
from schemas import names
from schemas.errors import InvalidDocument

LIST: Final = "agentbus.archives"
MESSAGES: Final = "agentbus.messages"
ROOT: Final = "agentbus.root"
"""Keys of the streams' metadata."""
_NAME = re.compile(rf"{names.AUDIT}_([1-9][0-9]{{0,18}})_([1-9][0-9]{{0,18}})")


class Archive(NamedTuple):
    """The stream with the stream sequences `first` to `last` of the trail."""

    first: int
    last: int

    @property
    def name(self) -> str:
        """The stream's name."""
        return f"{names.AUDIT}_{self.first}_{self.last}"

    @classmethod
    def parse(cls, name: str) -> Archive:
        """From a stream's name.

        Raises:
            InvalidDocument: no archive is called that.
        """
        match = _NAME.fullmatch(name)
        found = cls(int(match[1]), int(match[2])) if match else cls(1, 0)
        if found.first > found.last:
            raise InvalidDocument(f"{name[:80]!r} is not the name of an archive, such as {names.AUDIT}_1_30000")
        return found


class Broken(NamedTuple):
    """What is wrong with the archives, and from where; up to `last`, where it is not the one sequence."""

    first: int
    last: int
    problem: str


def refuse(broken: Broken) -> None:
    """What a reader does about it that is not there to find such things.

    Raises:
        TrailBroken: always.
    """
    raise TrailBroken(broken.first, broken.problem)


class Archives(NamedTuple):
    """All of a trail, in their order, and what is wrong with the list."""

    all: tuple[Archive, ...] = ()
    problems: tuple[Broken, ...] = ()

    @classmethod
    def listed(cls, config: Mapping[str, Any], live_last: int | None = None) -> Archives:
        """In the configuration of AUDIT, which ends with sequence `live_last`."""
        found: list[Archive] = []
        problems: list[Broken] = []
        for name in (config.get("metadata") or {}).get(LIST, "").split():
            expected = found[-1].last + 1 if found else 1
            try:
                archive = Archive.parse(name)
            except InvalidDocument as error:
                problems.append(Broken(expected, 0, f"the list of archives is not to be read: {error}"))
                continue
            if archive.first != expected:
                place = min(expected, archive.first)
                problems.append(Broken(place, 0, f"archive {name} does not go on at stream sequence {expected}"))
            if archive.last >= expected:
                found.append(archive)
        last = found[-1].last if found else 0
        if live_last is not None and live_last < last:
            problem = f"stream {names.AUDIT} ends with sequence {live_last}, before the end of its archives, {last}"
            problems.append(Broken(last + 1, 0, problem))
        return cls(tuple(found), tuple(problems))

    @property
    def last(self) -> int:
        """The last stream sequence that is in an archive; 0 where there is none."""
        return self.all[-1].last if self.all else 0

    def of(self, sequence: int) -> Archive | None:
        """The archive in which `sequence` is, or the next one after it; None when that is AUDIT."""
        return next((one for one in self.all if one.last >= sequence), None)


def spelled(archives: Iterable[Archive]) -> str:
    """As the list stands in the metadata."""
    return " ".join(archive.name for archive in archives)


def problem_of(archive: Archive, info: Mapping[str, Any]) -> str:
    """Why the stream, of which the server says `info`, is not the archive; empty where nothing is wrong with it."""
    config, state = info["config"], info["state"]
    holds = f"archive {archive.name} holds"
    if not state["messages"]:
        return f"{holds} nothing"
    if state["last_seq"] != archive.last or state["first_seq"] > archive.first:
        return f"{holds} stream sequences {state['first_seq']} to {state['last_seq']}"
    if str(state["messages"]) != (told := (config.get("metadata") or {}).get(MESSAGES, "")):
        return f"{holds} {state['messages']} messages; it was put away with {told or 'a number that nobody knows'}"
    return "" if config.get("sealed") else f"archive {archive.name} is not sealed: what it holds could be changed"
