"""Which lines of requirements.lock an installation needs: what the product asks for, and what that asks for.

The lock holds every extra and the developers' tools, each package with the hashes of its files and, in comments, who
wants it. A package is taken when one of those who want it is taken, so that pip has nothing left to resolve: it gets
the lines as they are, with `--no-deps --require-hashes`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .errors import NotPossible

_ENTRY = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s;\\]+)")
_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*")
_EXTRA = re.compile(r"extra\s*==\s*['\"]([^'\"]+)['\"]")


@dataclass(frozen=True, slots=True)
class Locked:
    """One package of the lock: its lines as they stand, without comments, and the names of those who want it."""

    name: str
    version: str
    lines: str
    wanted_by: frozenset[str]


def read_lock(text: str) -> list[Locked]:
    """The packages of a lock, in its order."""
    blocks: list[list[str]] = []
    for line in text.splitlines():
        if _ENTRY.match(line):
            blocks.append([])
        if blocks:
            blocks[-1].append(line)
    return [_locked(block) for block in blocks]


def _locked(block: list[str]) -> Locked:
    match = _ENTRY.match(block[0])
    assert match is not None  # noqa: S101  read_lock begins a block with such a line
    comments = [
        line.strip().lstrip("# ").removeprefix("via").strip() for line in block if line.lstrip().startswith("#")
    ]
    lines = [line for line in block if line.strip() and not line.lstrip().startswith("#")]
    return Locked(_normal(match[1]), match[2], "\n".join(lines), frozenset(map(_normal, filter(None, comments))))


def needed(lock: Iterable[Locked], requirements: Iterable[str], extras: Iterable[str]) -> list[Locked]:
    """The packages that `requirements` (lines as in a wheel's metadata) need, with these extras.

    Raises:
        NotPossible: an extra that the product does not have, or a requirement that is not in the lock.
    """
    packages = list(lock)
    taken = set(_roots(list(requirements), set(extras)))
    if missing := taken - {package.name for package in packages}:
        raise NotPossible(f"requirements.lock lacks {', '.join(sorted(missing))}: make it again with `make lock`")
    while more := {package.name for package in packages if package.wanted_by & taken} - taken:
        taken |= more
    return [package for package in packages if package.name in taken]


def _roots(requirements: list[str], extras: set[str]) -> Iterator[str]:
    offered = {extra for line in requirements for extra in _EXTRA.findall(line)}
    if unknown := extras - offered:
        raise NotPossible(f"there is no extra {', '.join(sorted(unknown))}; there are {', '.join(sorted(offered))}")
    for line in requirements:
        asked = set(_EXTRA.findall(line))
        name = _NAME.match(line)
        if name and (not asked or asked & extras):
            yield _normal(name[0])


def _normal(name: str) -> str:
    """Source: the packaging guide, "Names and normalization"."""
    return re.sub(r"[-_.]+", "-", name).lower()
