"""Drop-ins that not every systemd understands: which systemd is there, and which units get them."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from .running import run
from .tree import Tree

NAME = "agentbus.conf"
_OF_NEWER = re.compile(r"^\d+$")
"""Folders of dropins/: the systemd from which on their files are understood."""
_TOLD = re.compile(r"^systemd (\d+)")
_LIBRARY = re.compile(r"^libsystemd-shared-(\d+)")
_LIBRARIES = ("usr/lib/*/systemd", "usr/lib*/systemd", "lib/systemd")
_READY = "\nType=notify\n"


def systemd_version(tree: Tree) -> int:
    """The systemd that reads the tree's units; 0 where it cannot be told, as in an empty root. Source: systemctl(1)."""
    if tree.is_machine and shutil.which("systemctl"):
        found = _TOLD.match(run(["systemctl", "--version"]))
        return int(found[1]) if found else 0
    files = (file for folder in _LIBRARIES for file in tree.root.glob(f"{folder}/libsystemd-shared-*"))
    return max((int(found[1]) for file in files if (found := _LIBRARY.match(file.name))), default=0)


def drop_ins(units: Path, systemd: int) -> Iterator[tuple[str, bytes]]:
    """Each as a path below the folder of units, with its content: for every unit that says when it is ready."""
    folders = [folder for folder in (units / "dropins").glob("*") if _OF_NEWER.match(folder.name)]
    for folder in sorted(folders, key=lambda folder: int(folder.name)):
        if int(folder.name) <= systemd:
            content = (folder / NAME).read_bytes()
            for unit in sorted(units.glob("*.service")):
                if _READY in unit.read_text():
                    yield f"{unit.name}.d/{NAME}", content
