"""What is installed: the product as a checkout or as an installed distribution, and the files that come with it."""

from __future__ import annotations

import hashlib
import importlib.metadata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .errors import NotPossible

PACKAGES = ("agents", "approvals", "bus", "schemas")
_HERE = Path(__file__).resolve()
_TOP = _HERE.parents[2]
"""The checkout, or the folder of packages that this was installed in."""
_DATA = _HERE.parent / "data"
"""Files that a wheel carries along: pyproject.toml puts them there."""


@dataclass(frozen=True, slots=True)
class Source:
    """The product. `folder` holds its packages; `units` is the folder systemd/, `lock` is requirements.lock."""

    version: str
    folder: Path
    units: Path
    lock: Path
    is_checkout: bool

    def files(self) -> Iterator[Path]:
        """Every file of the product's packages, in order."""
        for package in PACKAGES:
            yield from sorted(
                p for p in (self.folder / package).rglob("*") if p.is_file() and "__pycache__" not in p.parts
            )

    def unit_files(self) -> list[Path]:
        """Every file of systemd/."""
        return sorted(path for path in self.units.rglob("*") if path.is_file())

    def requirements(self) -> list[str]:
        """What the product asks for, a line each, with the extras as markers."""
        return importlib.metadata.requires("agentbus") or []

    def digest(self) -> str:
        """One number for all of it: the same for a checkout and for the wheel that was built from it."""
        whole = hashlib.sha256()
        own = {path: f"{path.relative_to(self.folder)}" for path in self.files() if not path.is_relative_to(_DATA)}
        own |= {path: f"systemd/{path.relative_to(self.units)}" for path in self.unit_files()}
        own[self.lock] = "requirements.lock"
        for path, name in sorted(own.items(), key=lambda item: item[1]):
            whole.update(f"{name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
        return whole.hexdigest()


def this_product() -> Source:
    """The product that runs this.

    Raises:
        NotPossible: its units or its lock are not there.
    """
    is_checkout = (_TOP / "pyproject.toml").is_file()
    beside = _TOP if is_checkout else _DATA
    source = Source(
        importlib.metadata.version("agentbus"), _TOP, beside / "systemd", beside / "requirements.lock", is_checkout
    )
    if not source.lock.is_file() or not source.units.is_dir():
        raise NotPossible(
            f"{beside} has no systemd/ and requirements.lock: install agentbus from its wheel or a checkout"
        )
    return source
