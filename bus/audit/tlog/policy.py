"""Policies: which log's checkpoints are believed, and which witnesses must have cosigned them.

    log example/audit+1234abcd+AZ…
    witness a example/witness-a+…
    witness b example/witness-b+…
    group all-of-them all a b
    quorum all-of-them
    #handover YWdlbnRidXMgaGFuZC1vdmVyIHYxCg…

Keys that are not signed with any more are in the hand-overs (`bus.audit.tlog.handover`, in base64), in order. Other
readers of the format take those lines for comments, so they believe the keys of now alone.

Source: C2SP tlog-policy.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import Final

from bus.audit.tlog.checkpoint import Checkpoint
from bus.audit.tlog.errors import Malformed, NotVerified
from bus.audit.tlog.handover import Handover, Lineage
from bus.audit.tlog.note import COSIGNATURE, ED25519, Key, Note, decoded

NONE: Final = "none"
_WORDS = {"log": (1, 2), "witness": (2, 3), "group": (3, 66), "quorum": (1, 1), "handover": (1, 1)}
_HANDOVER: Final = "#handover"
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Group:
    """Witnessed when at least `threshold` of its members, witnesses or groups, are."""

    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """Whom to believe. `quorum` names a witness or a group; `none` demands no cosignature."""

    logs: tuple[Key, ...]
    witnesses: Mapping[str, Key]
    groups: Mapping[str, Group] = MappingProxyType({})
    quorum: str = NONE
    handovers: tuple[Handover, ...] = ()
    """Of the log's keys, of the witnesses', and of those of witnesses that there are no more."""

    @classmethod
    def parse(cls, text: str) -> Policy:
        """Read a policy file.

        Raises:
            Malformed: a line is not of the format; the message has its number.
        """
        if _CONTROL.search(text):
            raise Malformed("a policy file has no control characters but tabs and line ends")
        reading = _Reading()
        for number, line in enumerate(text.split("\n"), 1):
            words = re.split(r"[ \t]+", line.strip(" \t"))
            if words[0] == _HANDOVER or (words[0] and not words[0].startswith("#")):
                try:
                    reading.take(words[0].removeprefix("#"), words[1:])
                except Malformed as error:
                    raise Malformed(f"line {number} of the policy: {error}") from None
        return reading.policy()

    def __str__(self) -> str:
        lines = [f"log {key}" for key in self.logs]
        lines += [f"witness {name} {key}" for name, key in self.witnesses.items()]
        lines += [f"group {name} {one.threshold} {' '.join(one.members)}" for name, one in self.groups.items()]
        lines += [f"quorum {self.quorum}"]
        lines += [f"{_HANDOVER} {base64.b64encode(one.note).decode()}" for one in self.handovers]
        return "\n".join([*lines, ""])

    def lineage(self, key: Key) -> Lineage:
        """The keys whose place this one has taken, with it."""
        return Lineage(key, tuple(one for one in self.handovers if one.name == key.name))

    def log_of(self, checkpoint: bytes) -> Lineage:
        """The log that a checkpoint says it is of.

        Raises:
            Malformed: it is no checkpoint. NotVerified: this policy does not know that log.
        """
        origin = Checkpoint.parse(Note.parse(checkpoint).text).origin
        for key in self.logs:
            if key.name == origin:
                return self.lineage(key)
        raise NotVerified(f"the checkpoint is of {origin[:80]!r}, which this policy does not know")

    def witnessed(self, note: Note) -> dict[str, int]:
        """The witnesses that cosigned this checkpoint, by their names in the policy, and when.

        Raises:
            NotVerified: a cosignature is false, or by a key that does not cosign for that size.
        """
        size = Checkpoint.parse(note.text).size
        lineages = {name: self.lineage(key) for name, key in self.witnesses.items()}
        for one in lineages.values():
            one.require_no_other(note, size)
        keys = {name: one.at(size) for name, one in lineages.items()}
        times = note.verified(keys.values())
        return {name: times[key] for name, key in keys.items() if key in times}

    def require_quorum(self, note: Note) -> dict[str, int]:
        """As `witnessed`, when they are enough.

        Raises:
            NotVerified: they are not, or a cosignature is false.
        """
        found = self.witnessed(note)
        if self.quorum != NONE and not self._is_met(self.quorum, found):
            raise NotVerified(f"cosigned by {', '.join(found) or 'nobody'}: not what quorum {self.quorum} demands")
        return found

    def _is_met(self, name: str, found: Mapping[str, int]) -> bool:
        group = self.groups.get(name)
        if group is None:
            return name in found
        return sum(self._is_met(member, found) for member in group.members) >= group.threshold


class _Reading:
    """A policy file, line by line."""

    def __init__(self) -> None:
        self.logs: list[Key] = []
        self.witnesses: dict[str, Key] = {}
        self.groups: dict[str, Group] = {}
        self.quorum = ""
        self.handovers: list[Handover] = []
        self._members: set[str] = set()

    def take(self, keyword: str, words: list[str]) -> None:
        """One line."""
        least, most = _WORDS.get(keyword, (1, 0))
        if not least <= len(words) <= most:
            raise Malformed(f"{keyword[:20]!r} with {len(words)} words is not known")
        getattr(self, f"_{keyword}")(*words)

    def policy(self) -> Policy:
        """What was read."""
        if not self.quorum:
            raise Malformed("the policy has no quorum line; `quorum none` demands no witnesses")
        for key in (*self.logs, *self.witnesses.values()):
            require_line([one for one in self.handovers if one.name == key.name], key)
        return Policy(tuple(self.logs), self.witnesses, self.groups, self.quorum, tuple(self.handovers))

    def _log(self, vkey: str, _url: str = "") -> None:
        self.logs.append(_key(vkey, ED25519, self.logs))

    def _witness(self, name: str, vkey: str, _url: str = "") -> None:
        self._require_new(name)
        self.witnesses[name] = _key(vkey, COSIGNATURE, [*self.witnesses.values()])

    def _group(self, name: str, threshold: str, *members: str) -> None:
        self._require_new(name)
        for member in members:
            self._require_known(member)
            if member in self._members:
                raise Malformed(f"{member[:40]!r} is in a group already")
            self._members.add(member)
        count = {"any": "1", "all": str(len(members))}.get(threshold, threshold)
        if not re.fullmatch(r"[1-9][0-9]?", count) or int(count) > len(members):
            raise Malformed(f"{threshold[:20]!r} of {len(members)} cannot be")
        self.groups[name] = Group(int(count), members)

    def _quorum(self, name: str) -> None:
        if self.quorum:
            raise Malformed("there is a quorum already")
        if name != NONE:
            self._require_known(name)
        self.quorum = name

    def _handover(self, encoded: str) -> None:
        self.handovers.append(Handover.parse(decoded(encoded)))

    def _require_new(self, name: str) -> None:
        if name == NONE or name in self.witnesses or name in self.groups:
            raise Malformed(f"the name {name[:40]!r} is taken")

    def _require_known(self, name: str) -> None:
        if name not in self.witnesses and name not in self.groups:
            raise Malformed(f"{name[:40]!r} is not a witness or group of a line before")


def require_line(handovers: Sequence[Handover], key: Key) -> None:
    """Each hand-over begins where the one before ends, in keys and in size, and the last leads to `key`.

    Raises:
        Malformed: they do not.
    """
    for one, following in pairwise((*handovers, None)):
        if one and one.new != (following.old if following else key):
            raise Malformed(f"a key of {key.name} was handed over to {one.new}, not to {following}")
    sizes = [one.at.size for one in handovers]
    if sizes != sorted(sizes):
        raise Malformed(f"the hand-overs of {key.name} are not in order")


def _key(vkey: str, kind: int, known: list[Key]) -> Key:
    key = Key.parse(vkey)
    if key.kind != kind:
        raise Malformed(f"{key.name} is a key of kind {key.kind}, not {kind}")
    if any(key.public == other.public for other in known):
        raise Malformed(f"the key of {key.name} is there already")
    return key
