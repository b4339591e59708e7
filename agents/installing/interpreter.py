"""The Python that an installation runs on: the system's where it is under /usr, else a copy in the release.

A Python in somebody's home folder (pyenv, uv) is out of reach for the units, whose `ProtectHome=` hides it.
"""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from .errors import NotPossible

_LEFT_OUT = (
    "site-packages", "test", "tests", "idlelib", "tkinter", "turtledemo", "turtle.py", "ensurepip",
    "lib2to3", "config-*", "*.a", "*.opt-*.pyc",
)  # fmt: skip
"""What a worker never imports; half of the size."""


@dataclass(frozen=True, slots=True)
class Interpreter:
    """`program` is the real file of the Python that runs this; `prefix` the folder above its bin/ and lib/."""

    program: Path
    prefix: Path
    version: str

    @property
    def is_copied(self) -> bool:
        """Whether a release needs a copy of it."""
        return not self.prefix.is_relative_to("/usr")

    @property
    def name(self) -> str:
        """`python3.13`."""
        return "python" + ".".join(self.version.split(".")[:2])

    @property
    def shown(self) -> str:
        """For people."""
        return f"Python {self.version} of {self.prefix}" + (", copied into it" if self.is_copied else "")


def this_interpreter() -> Interpreter:
    """The one that runs this."""
    program = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    version = ".".join(map(str, sys.version_info[:3]))
    return Interpreter(program, Path(sys.base_prefix).resolve(), version)


def put_python(interpreter: Interpreter, release: Path) -> Path:
    """Give a release `bin/python`; returns its folder of packages. The release can be moved as a whole.

    Raises:
        NotPossible: the interpreter finds its library by a path that cannot be changed.
    """
    (release / "bin").mkdir(mode=0o755)
    link = release / "bin" / "python"
    packages = Path("lib") / interpreter.name / "site-packages"
    if not interpreter.is_copied:
        link.symlink_to(interpreter.program)
        (release / "pyvenv.cfg").write_text(
            f"home = {interpreter.program.parent}\ninclude-system-site-packages = false\nversion = {interpreter.version}\n"
        )
        folder = release / packages
    else:
        _copy(interpreter, release / "python")
        link.symlink_to(f"../python/bin/{interpreter.name}")
        folder = release / "python" / packages
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _copy(interpreter: Interpreter, to: Path) -> None:
    library = interpreter.prefix / "lib"
    shutil.copytree(
        library / interpreter.name,
        to / "lib" / interpreter.name,
        ignore=shutil.ignore_patterns(*_LEFT_OUT),
        symlinks=True,
    )
    for file in library.glob("libpython*.so*"):
        shutil.copy2(file, to / "lib" / file.name, follow_symlinks=False)
    (to / "bin").mkdir()
    program = to / "bin" / interpreter.name
    program.write_bytes(with_own_library(interpreter.program.read_bytes(), library))
    program.chmod(0o755)


def with_own_library(program: bytes, library: Path) -> bytes:
    """The program with its library searched beside it, not where it was built. Source: ld.so(8), $ORIGIN."""
    built_in, beside = os.fsencode(library) + b"\0", b"$ORIGIN/../lib\0"
    if built_in not in program:
        return program
    if len(beside) > len(built_in):
        raise NotPossible(
            f"{library} is compiled into the interpreter and too short to be replaced: use another Python"
        )
    return program.replace(built_in, beside.ljust(len(built_in), b"\0"))
