"""The packages of a release, from the environment that runs this, or from a registry; both as the lock says.

An environment that was made from the lock (`make install`) has what is needed, checked by pip against the hashes of
the lock; its files are copied, each checked against the hash that its package recorded. Where a version is another one
(the product was installed with pip alone), pip fetches what the lock names.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import os
import re
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

from .errors import NotPossible
from .lock import Locked
from .running import run
from .source import Source

_ELSEWHERE = re.compile(r";\s*sys_platform == '(win32|emscripten|darwin)'\s*\\?$")
"""A package that Linux does not need."""


def for_linux(packages: Sequence[Locked]) -> list[Locked]:
    """Without those of other systems."""
    return [package for package in packages if not _ELSEWHERE.search(package.lines.splitlines()[0])]


def others_here(packages: Sequence[Locked]) -> list[str]:
    """The packages that this environment has not, or in another version, as `name==version`."""
    return [f"{each.name}=={each.version}" for each in packages if _version_here(each.name) != each.version]


def _version_here(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def require_tools(source: Source, packages: Sequence[Locked], wheels: Path | None) -> None:
    """Refuse before anything is begun.

    Raises:
        NotPossible: nothing to build the product with, or neither the packages nor a pip to fetch them.
    """
    if source.is_checkout and find_spec("hatchling") is None:
        raise NotPossible("the checkout's environment has no hatchling to build with: run `make install` first")
    missing = others_here(packages)
    if (missing or wheels) and find_spec("pip") is None:
        what = f"{sys.executable} has no pip to fetch {', '.join(missing) or 'wheels'}"
        raise NotPossible(f"{what}: run this from where agentbus was installed by pip or `make install`")


def put_packages(packages: Sequence[Locked], to: Path, wheels: Path | None) -> None:
    """Have the packages in a folder.

    Raises:
        NotPossible: a file here is not what its package recorded: it was changed after it was installed.
        CommandFailed: pip could not fetch one, or its hash is not that of the lock.
    """
    if wheels is None and not others_here(packages):
        for package in packages:
            _copy_distribution(package.name, to)
    else:
        _fetch(packages, to, wheels)


def put_product(source: Source, to: Path) -> None:
    """Have the product in a folder: the wheel of a checkout, or the files of the installed distribution."""
    if not source.is_checkout:
        _copy_distribution("agentbus", to)
        return
    with tempfile.TemporaryDirectory(prefix="agentbus-install-") as scratch:
        run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", scratch], folder=source.folder)
        (wheel,) = Path(scratch).glob("agentbus-*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(to)


def _fetch(packages: Sequence[Locked], to: Path, wheels: Path | None) -> None:
    where = ["--no-index", "--find-links", str(wheels)] if wheels else []
    with tempfile.TemporaryDirectory(prefix="agentbus-install-") as scratch:
        lines = Path(scratch, "requirements.txt")
        lines.write_text("\n".join(package.lines for package in packages) + "\n")
        quiet = ["--quiet", "--disable-pip-version-check", "--no-input"]
        exactly = ["--require-hashes", "--no-deps", "--no-compile", "--requirement", str(lines), "--target", str(to)]
        run([sys.executable, "-m", "pip", "install", *quiet, *where, *exactly])
    shutil.rmtree(to / "bin", ignore_errors=True)  # commands of the packages, with the name of another Python in them


def _copy_distribution(name: str, to: Path) -> None:
    for file, place in _files_of(name):
        target = to / place
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
        target.chmod(0o755 if os.access(file, os.X_OK) else 0o644)


def _files_of(name: str) -> Iterator[tuple[Path, str]]:
    """The files of an installed distribution, with where they go in a folder of packages; no bytecode, no commands."""
    for file in importlib.metadata.files(name) or []:
        if str(file).startswith("..") or "__pycache__" in file.parts:
            continue
        path = Path(str(file.locate()))
        if file.hash and file.hash.mode == "sha256" and _digest(path) != file.hash.value:
            raise NotPossible(
                f"{path} is not what {name} was installed with: make the environment again (make clean install)"
            )
        yield path, str(file)


def _digest(path: Path) -> str:
    """As RECORD writes it. Source: the packaging guide, "Recording installed projects"."""
    return base64.urlsafe_b64encode(hashlib.sha256(path.read_bytes()).digest()).rstrip(b"=").decode()
