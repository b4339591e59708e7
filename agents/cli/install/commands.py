"""`agentbus install` and `uninstall`: a line for each step, then what is next."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from agents.installing.debian import make_package
from agents.installing.errors import NotPossible
from agents.installing.install import Work
from agents.installing.install import install as do_install
from agents.installing.install import roll_back as do_roll_back
from agents.installing.interpreter import this_interpreter
from agents.installing.lock import needed, read_lock
from agents.installing.packages import for_linux
from agents.installing.places import CURRENT, STATE
from agents.installing.release import Recipe
from agents.installing.source import this_product
from agents.installing.steps import Done
from agents.installing.tree import Tree
from agents.installing.uninstall import uninstall as do_uninstall

_USAGE = 2
_MACHINE = Path("/")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is installed besides the product itself."""

    extras: tuple[str, ...] = ()
    server: Path | None = None
    wheels: Path | None = None


@dataclass(frozen=True, slots=True)
class How:
    """Where, and how it is told."""

    root: Path
    is_dry: bool = False
    as_json: bool = False
    restarts: bool = True

    def say(self, line: str) -> None:
        """A step, for a person; for a machine they come together at the end."""
        if not self.as_json:
            print(line, flush=True)

    def work(self) -> Work:
        """The work, from here."""
        if not self.root.is_dir():
            raise NotPossible(f"{self.root} is no folder: make it first")
        return Work(Tree(self.root.resolve()), self.say, is_dry=self.is_dry, restarts=self.restarts)


def install(wanted: Wanted, how: How) -> None:
    """Install, or bring up to date."""
    work = how.work()
    with work.tree.alone():
        done = do_install(_recipe(wanted, how), work)
    _told(done, how)


def package(wanted: Wanted, how: How, folder: Path) -> None:
    """A Debian package of it."""
    root = how.root.resolve() if how.root != _MACHINE else None
    made = make_package(_recipe(wanted, how), folder.absolute(), how.say, root)
    print(json.dumps({"package": str(made)}) if how.as_json else made)


def _recipe(wanted: Wanted, how: How) -> Recipe:
    source = this_product()
    packages = for_linux(needed(read_lock(source.lock.read_text()), source.requirements(), wanted.extras))
    return Recipe(
        source, this_interpreter(), packages, tuple(sorted(wanted.extras)), _absolute(wanted.wheels),
        _absolute(wanted.server), say=lambda line: how.say(f"       {line}"),
    )  # fmt: skip


def roll_back(how: How) -> None:
    """The release before."""
    work = how.work()
    with work.tree.alone():
        done = do_roll_back(work)
    _told(done, how)


def uninstall(how: How, *, is_purged: bool, is_sure: bool) -> None:
    """Take it away; a person is asked, a script says --yes."""
    if not is_sure and not how.is_dry and not _agreed(is_purged=is_purged):
        raise SystemExit(_USAGE if not sys.stdin.isatty() else 1)
    work = how.work()
    with work.tree.alone():
        done = do_uninstall(work, is_purged=is_purged)
    _told(done, how)


def _agreed(*, is_purged: bool) -> bool:
    if not sys.stdin.isatty():
        print("agentbus: this stops and removes the fleet's program: add --yes", file=sys.stderr)
        return False
    lost = f", with all that is in {STATE}, for good" if is_purged else ""
    return input(f"Stop the fleet and remove its program{lost}? Type yes: ").strip() == "yes"


def _told(done: Done, how: How) -> None:
    if how.as_json:
        steps = [{"verb": step.verb, "what": step.what, "detail": step.detail} for step in done.steps]
        print(json.dumps({"release": done.release, "changed": done.is_changed, "dry_run": how.is_dry, "steps": steps}))
        return
    if not done.is_changed:
        print(f"nothing to do: {CURRENT} is {done.release}" if done.release else "nothing to do")
    elif how.is_dry:
        print("nothing was changed: this was --dry-run")
    for hint in done.hints:
        print(hint)


def _absolute(path: Path | None) -> Path | None:
    return path.absolute() if path else None
