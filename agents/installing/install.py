"""Installing, another version beside it, and back: a release, the link to it, and what is outside of it.

Every step leaves the machine usable: the release is whole before the link leads to it, the link is changed in one
step, and what runs keeps the files of its own release until it is restarted. Doing it again does what was left.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath

import msgspec

from .drop_ins import systemd_version
from .errors import NotPermitted, NotPossible
from .live import gone_steps, is_live, restart_steps, settle_steps
from .outside import outside_steps, read_record, wanted_files, write_record
from .places import CURRENT, OPT, RECORD, RELEASES
from .places import UNITS as PLACE
from .release import UNITS, Manifest, Recipe, build, leftovers, releases, remove_folder
from .steps import Done, Step, follow
from .tree import Tree

_KEPT = 3
"""Releases that stay: the one in use and those before it."""


@dataclass(frozen=True, slots=True)
class Work:
    """How it is done: where, whether only said, whether what runs is restarted; `is_packaged`: for a package."""

    tree: Tree
    say: Callable[[str], None]
    is_dry: bool = False
    restarts: bool = True
    is_packaged: bool = False
    steps: list[Step] = field(default_factory=list)

    def do(self, *steps: Step) -> None:
        """Do these, or say them."""
        self.steps.extend(follow(steps, self.say, is_dry=self.is_dry))

    def done(self, release: str, *hints: str) -> Done:
        """All that was done."""
        return Done(release, tuple(self.steps), hints)

    def require_right(self) -> None:
        """Refuse early.

        Raises:
            NotPermitted: only root may write to the machine's own root.
            UnsafePlace: somebody else may change the program.
            NotPossible: what is there is a package's.
        """
        if read_record(self.tree).is_packaged:
            raise NotPossible("a package put agentbus here: use apt install, apt remove and apt purge")
        if self.tree.is_machine and not self.is_dry:
            if os.geteuid() != 0:
                raise NotPermitted(
                    "only root can install here: use sudo, --dry-run to see what would be done, or --root DIR"
                )
            self.tree.require_roots(OPT, RELEASES)


def install(recipe: Recipe, work: Work) -> Done:
    """Have this product installed and in use.

    Raises:
        InstallError: why not; the release in use before still is.
    """
    work.require_right()
    before = current(work.tree)
    there = releases(work.tree)
    wanted = _manifest(recipe)
    work.do(*left_steps(work.tree))
    name = next((name for name, made in there.items() if made.digest == wanted.digest), "")
    if not name:
        name = wanted.version if wanted.version not in there else f"{wanted.version}+{wanted.digest[:8]}"
        work.do(*_build_steps(recipe, work, name, wanted))
    units = recipe.source.units if work.is_dry else work.tree.at(f"{RELEASES}/{name}/{UNITS}")
    _use(work, name, units)
    _leave_out_old(work, name)
    if work.restarts and is_live(work.tree):
        work.do(*restart_steps(name, releases(work.tree)))
    return work.done(name, *_hints(work, before))


def roll_back(work: Work) -> Done:
    """Have the release in use that was made before the one in use.

    Raises:
        NotPossible: there is none.
    """
    work.require_right()
    there, before = releases(work.tree), current(work.tree)
    older = [name for name in there if before in there and there[name].made_at_ns < there[before].made_at_ns]
    if not older:
        raise NotPossible(f"there is no release before {before or 'one'}: {', '.join(there) or 'none'} in {RELEASES}")
    name = older[-1]
    _use(work, name, work.tree.at(f"{RELEASES}/{name}/{UNITS}"))
    if work.restarts and is_live(work.tree):
        work.do(*restart_steps(name, there))
    return work.done(name)


def current(tree: Tree) -> str:
    """The release in use; empty on a machine without."""
    return Path(tree.link_target(CURRENT)).name


def _manifest(recipe: Recipe) -> Manifest:
    """Of the release that the recipe makes; its server is known when it is made."""
    packages = {package.name: package.version for package in recipe.packages}
    parts = [recipe.source.digest(), recipe.interpreter.shown, *recipe.extras, *(p.lines for p in recipe.packages)]
    if recipe.server is not None:
        parts.append(hashlib.sha256(recipe.server.read_bytes()).hexdigest())
    return Manifest(
        version=recipe.source.version, digest=hashlib.sha256("\0".join(parts).encode()).hexdigest(),
        python=recipe.interpreter.shown, extras=list(recipe.extras), packages=packages, nats_server="", made_at_ns=0,
    )  # fmt: skip


def _build_steps(recipe: Recipe, work: Work, name: str, wanted: Manifest) -> Iterator[Step]:
    recipe.require_tools()
    what = f"agentbus {wanted.version}, {len(wanted.packages)} packages, {wanted.python}"

    def make(server: str) -> Manifest:
        return msgspec.structs.replace(wanted, nats_server=server, made_at_ns=time.time_ns())

    yield Step("build", f"{RELEASES}/{name}", lambda: build(recipe, work.tree, name, make), what)


def _use(work: Work, name: str, units: Path) -> None:
    """Have what is outside the release as it says, and the link lead to it."""
    tree, record = work.tree, read_record(work.tree)
    # a package is for the systemd of the Debian that it is made on
    systemd = systemd_version(Tree(Path("/")) if work.is_packaged else tree)
    wanted = wanted_files(units, systemd, is_packaged=work.is_packaged)
    written, changes = outside_steps(tree, wanted, record)
    if written != record.files:
        # before the files: what an interrupted run wrote is known to be ours
        changes.insert(0, Step("write", RECORD, partial(write_record, tree, written, is_packaged=work.is_packaged)))
    target = f"releases/{name}"
    if tree.link_target(CURRENT) != target:
        changes.append(Step("link", CURRENT, partial(tree.link, CURRENT, target), f"to {target}"))
    if is_live(tree) and any(step.verb != "keep" for step in changes):
        gone = [PurePosixPath(step.what) for step in changes if step.verb == "remove"]
        changes[:0] = gone_steps([path.name for path in gone if str(path.parent) == PLACE])
        changes.extend(settle_steps())
    work.do(*changes)


def left_steps(tree: Tree) -> Iterator[Step]:
    """Remove what a run left that was killed while it built, or removed, a release."""
    for name in leftovers(tree):
        path = f"{RELEASES}/{name}"
        yield Step("remove", path, partial(remove_folder, tree.at(path)), "left by a run that was interrupted")


def _leave_out_old(work: Work, name: str) -> None:
    there = [each for each in releases(work.tree) if each != name]
    for old in there[: max(0, len(there) - (_KEPT - 1))]:
        path = f"{RELEASES}/{old}"
        work.do(Step("remove", path, partial(remove_folder, work.tree.at(path)), f"{_KEPT} releases are kept"))


def _hints(work: Work, before: str) -> list[str]:
    if not work.tree.is_machine:
        return []
    if not before:
        return ["next: agentbus provision, then systemctl enable --now agentbus.target agent@greeter"]
    return []
