"""The Python that runs this, as uv expects one to be downloaded: for a machine from which it reaches none."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import sys
import tarfile
from pathlib import Path

from agents.installing.interpreter import this_interpreter, with_own_library

_FOLDER = Path("/var/cache/pythons")
_LEFT_OUT = {"test", "site-packages", "__pycache__"}


def handed_over(root: Path) -> str:
    """Put it, and a list that names it, below `root`; returns the variable that tells uv of the list.

    Source: uv's documentation, "--python-downloads-json-url".
    """
    folder = root / _FOLDER.relative_to("/")
    folder.mkdir(parents=True)
    with tarfile.open(folder / "python.tar.gz", "w:gz", compresslevel=1) as archive:
        for part in ("lib", "include"):
            archive.add(Path(sys.base_prefix) / part, f"python/{part}", filter=_wanted)
        _add_program(archive)
    major, minor, patch = sys.version_info[:3]
    family = platform.machine()
    listed = {
        f"cpython-{major}.{minor}.{patch}-linux-{family}-gnu": {
            "name": "cpython", "arch": {"family": family, "variant": None}, "os": "linux", "libc": "gnu",
            "major": major, "minor": minor, "patch": patch, "prerelease": "", "variant": None, "build": "0",
            "url": f"file://{_FOLDER}/python.tar.gz",
            "sha256": hashlib.sha256((folder / "python.tar.gz").read_bytes()).hexdigest(),
        }
    }  # fmt: skip
    (folder / "list.json").write_text(json.dumps(listed))
    return f"UV_PYTHON_DOWNLOADS_JSON_URL={_FOLDER}/list.json"


def _add_program(archive: tarfile.TarFile) -> None:
    """It finds its library beside it, as what is downloaded does."""
    python = this_interpreter()
    program = with_own_library(python.program.read_bytes(), python.prefix / "lib")
    member = tarfile.TarInfo(f"python/bin/{python.name}")
    member.size, member.mode = len(program), 0o755
    archive.addfile(member, io.BytesIO(program))
    for name in ("python3", "python"):
        link = tarfile.TarInfo(f"python/bin/{name}")
        link.type, link.linkname = tarfile.SYMTYPE, python.name
        archive.addfile(link)


def _wanted(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if _LEFT_OUT & set(Path(member.name).parts) else member
