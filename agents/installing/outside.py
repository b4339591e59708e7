"""What an installation has outside its release: units, users, rules, the launcher. Nobody's own changes are lost.

The record (`/opt/agentbus/installed.json`) says what was written, by content. A file that is there with another content
was changed by somebody: it is kept and named, when a newer one should come as when all should go.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import msgspec

from schemas.errors import UNREADABLE

from .drop_ins import drop_ins
from .errors import NotPossible
from .places import CURRENT, LAUNCHER, LAUNCHER_TEXT, OUTSIDE, PACKAGED, PACKAGED_LAUNCHER, RECORD, SYSUSERS, UNITS
from .steps import Step
from .tree import Tree

_REMEMBERED = 8
"""Contents of one file; an installation goes back by a few releases at most."""

PROVISIONED = re.compile(rf"^({SYSUSERS}/agentbus-.+\.conf|{UNITS}/.+\.d/10-agentbus-fleet\.conf)$")
"""Files that provisioning adds: no release has them, uninstalling removes them."""


class Record(msgspec.Struct, frozen=True):
    """What was written: paths, with the SHA-256 of each content that they were given, the last one at the end.

    It is written before the files are: an installation that was interrupted knows old and new ones as its own.
    `is_packaged`: a package manager put everything here, and it alone changes it.
    """

    files: dict[str, list[str]] = {}
    is_packaged: bool = False

    def noting(self, path: str, digest: str) -> list[str]:
        """The contents of a file, with one more."""
        return [*(each for each in self.files.get(path, []) if each != digest), digest][-_REMEMBERED:]


@dataclass(frozen=True, slots=True)
class OutsideFile:
    """A file outside the release, as it should be."""

    path: str
    content: bytes
    mode: int = 0o644

    @property
    def digest(self) -> str:
        """Of the content."""
        return hashlib.sha256(self.content).hexdigest()


def wanted_files(units: Path, systemd: int, *, is_packaged: bool = False) -> list[OutsideFile]:
    """Everything that a release with this folder systemd/ has outside of it, for a systemd of this version; in a package
    it lies elsewhere."""
    places = PACKAGED if is_packaged else OUTSIDE
    files = [
        OutsideFile(f"{folder}/{file.name}", file.read_bytes())
        for pattern, folder in places.items()
        for file in sorted(units.glob(pattern))
    ]
    files += [OutsideFile(f"{places['*.service']}/{path}", content) for path, content in drop_ins(units, systemd)]
    return [*files, OutsideFile(PACKAGED_LAUNCHER if is_packaged else LAUNCHER, LAUNCHER_TEXT.encode(), 0o755)]


def read_record(tree: Tree) -> Record:
    """What was written here before; nothing on a new machine.

    Raises:
        NotPossible: it cannot be read.
    """
    content = tree.read(RECORD)
    try:
        return Record() if content is None else msgspec.json.decode(content, type=Record)
    except UNREADABLE as error:
        raise NotPossible(
            f"{RECORD} cannot be read ({error}): remove it, then every file that is not as shipped is kept and named"
        ) from None


def write_record(tree: Tree, files: Mapping[str, list[str]], *, is_packaged: bool = False) -> None:
    """Remember what is written now."""
    content = msgspec.json.format(msgspec.json.encode(Record(dict(sorted(files.items())), is_packaged)))
    tree.write(RECORD, content + b"\n")


def is_changed(tree: Tree, path: str, record: Record) -> bool:
    """Whether somebody else made this file what it is: it is there, and is not what was written."""
    return tree.is_there(path) and tree.digest(path) not in record.files.get(path, [])


def outside_steps(tree: Tree, wanted: Iterable[OutsideFile], record: Record) -> tuple[dict[str, list[str]], list[Step]]:
    """What has to be done outside a release, and the record that goes with it."""
    files = {file.path: file for file in wanted}
    left = {path for path in record.files if path not in files and not PROVISIONED.match(path)}
    changed = {path for path in (*files, *left) if is_changed(tree, path, record)}
    same = {path for path, file in files.items() if tree.digest(path) == file.digest}
    ours = {path: file for path, file in files.items() if path in same or path not in changed}
    kept = {path: record.files[path] for path in changed - same if path in record.files and path in files}
    provisioned = {path: digests for path, digests in record.files.items() if PROVISIONED.match(path)}
    written = {**provisioned, **kept, **{path: record.noting(path, file.digest) for path, file in ours.items()}}
    return written, [
        *_kept(changed - same),
        *(Step("write", path, partial(tree.write, path, file.content, file.mode)) for path, file in ours.items() if path not in same),
        *(remove_step(tree, path) for path in sorted(left - changed) if tree.is_there(path)),
    ]  # fmt: skip


def remove_step(tree: Tree, path: str) -> Step:
    """Remove what was written; a folder of drop-ins with it, where nothing else is in it."""
    return Step("remove", path, partial(_remove, tree, path))


def _remove(tree: Tree, path: str) -> None:
    tree.remove(path)
    folder = PurePosixPath(path).parent
    if folder.name.endswith(".service.d"):
        with contextlib.suppress(OSError):
            tree.at(str(folder)).rmdir()


def _kept(paths: Iterable[str]) -> Iterator[Step]:
    for path in sorted(paths):
        yield Step(
            "keep",
            path,
            detail=f"was changed here; as shipped it is in {CURRENT}/share/systemd: remove this one to have it",
        )
