"""The units as files: their lines, what `systemd-analyze` says of them, and how exposed they may be."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from agents.installing.drop_ins import drop_ins as versioned
from agents.installing.drop_ins import systemd_version
from agents.installing.tree import Tree
from tests.harness.systemd_units import UNITS, unit_files

SERVICES = sorted(path.name for path in UNITS.glob("*.service"))
DISTRIBUTION = Path("/usr/lib/systemd/system")
WORST_EXPOSURE = {
    "agent@.service": 1.1,
    "agent-1@.service": 1.1,
    "agent-tool@.service": 0.6,
    "agentbus-check@.service": 0.6,
    "agentbus-sealer.service": 0.9,
    "nats-server.service": 1.1,
}
WORST_EXPOSURE_ELSEWHERE = 1.2
_PROGRAMS = (
    "/opt/agentbus/current/bin/agentbus",
    "/opt/agentbus/current/bin/nats-server",
    "/bin/sh",
    "/usr/sbin/nft",
)
Directive = tuple[str, str, str]


def can_analyze() -> bool:
    """Whether this machine has systemd's own opinion of units."""
    return shutil.which("systemd-analyze") is not None and DISTRIBUTION.is_dir()


def directives(unit: Path) -> list[Directive]:
    """Every assignment of a unit file as (section, name, value), in order."""
    section, found = "", []
    for line in unit.read_text().splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith(("#", ";")):
            name, _, value = line.partition("=")
            found.append((section, name, value))
    return found


def drop_ins() -> dict[str, Path]:
    """Every drop-in that any systemd understands, by the instance of `agent@` that it is tried with."""
    return {f"agent@{file.stem}.service": file for file in sorted((UNITS / "dropins").glob("*.conf"))}


def installed_in(root: Path) -> list[str]:
    """Put the distribution's units, ours, and the programs that ours name into `root`; the names of ours.

    For each drop-in there is an agent that has it; those for this machine's systemd all units have.
    """
    shutil.copytree(DISTRIBUTION, root / "usr/lib/systemd/system", symlinks=True)
    folder = root / "etc/systemd/system"
    folder.mkdir(parents=True)
    ours = [file for path, file in unit_files().items() if Path(path).parent == Path("/etc/systemd/system")]
    for file in ours:
        shutil.copy(file, folder)
    for instance, file in drop_ins().items():
        (folder / f"{instance}.d").mkdir()
        shutil.copy(file, folder / f"{instance}.d")
    for path, content in versioned(UNITS, systemd_version(Tree(Path("/")))):
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_bytes(content)
    for program in _PROGRAMS:
        target = root / program.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch(mode=0o755)
    return [*(file.name for file in ours), *drop_ins()]


@contextmanager
def root_with_units() -> Iterator[tuple[Path, list[str]]]:
    """A folder as `installed_in` leaves it, and the names of the units."""
    with TemporaryDirectory(prefix="agentbus-units-") as folder:
        yield Path(folder), installed_in(Path(folder))


def verify(root: Path, *units: str) -> str:
    """Everything that systemd has to say about the units; its exit status is 0 even for ignored settings."""
    command = ["systemd-analyze", "verify", "--man=no", f"--root={root}", *units]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def exposure(unit: Path) -> float:
    """The score of `systemd-analyze security`: 0 is closed, 10 is open."""
    command = ["systemd-analyze", "security", "--offline=yes", "--no-pager", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"Overall exposure level for .*: (\d+\.\d)", done.stdout)
    assert found, done.stdout + done.stderr
    return float(found[1])


def worst_exposure(name: str) -> float:
    """The score that the service of this name may have."""
    return WORST_EXPOSURE.get(name, WORST_EXPOSURE_ELSEWHERE)
