"""A Debian package of the program, made with dpkg-deb alone.

It holds what `agentbus install` puts on a machine, with units in /usr/lib, so that an administrator's files in /etc are
stronger. It starts nothing, and stops only what is removed: a fleet is enabled by whoever runs it, restarted after an
upgrade by them. Purging takes what provisioning wrote in /etc; keys, trail and state are kept.

Source: Debian Policy §5.3, §6.5; deb-control(5).
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from .drop_ins import systemd_version
from .errors import NotPossible
from .install import Work, install
from .interpreter import Interpreter
from .network import NAME as FLEET_DROP_IN
from .places import CONFIGURATION, RECORD, STATE, SYSUSERS, UNITS
from .release import Recipe
from .running import run
from .tree import Tree

_CONTROL = """\
Package: agentbus
Version: {version}
Architecture: {architecture}
Maintainer: {maintainer}
Depends: {depends}
Recommends: nftables, polkitd
Section: net
Priority: optional
Installed-Size: {kib}
Description: NATS message bus worker for fleets of AI agents
 A2A requests, approved self-modification, a provable audit trail. With its
 own packages and nats-server in /opt/agentbus.
"""
_MAINTAINER = "agentbus <agentbus@localhost>"
_BEFORE = f"""\
#!/bin/sh
set -e
if [ -e {RECORD} ] && ! grep -q '"is_packaged": *true' {RECORD}; then
    echo "agentbus is here by agentbus install: agentbus uninstall first; keys, trail and state stay" >&2
    exit 1
fi
"""
_AFTER = """\
#!/bin/sh
set -e
if [ -d /run/systemd/system ]; then
    systemd-sysusers
    systemd-tmpfiles --create agentbus.conf
    systemctl daemon-reload
fi
"""
_BEFORE_REMOVAL = """\
#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
    systemctl stop 'agent@*' 'agent-*@*' 'agentbus*' nats-server.service
fi
"""
_REMOVED = f"""\
#!/bin/sh
set -e
if [ "$1" = purge ]; then
    rm -f {SYSUSERS}/agentbus-agent-*.conf {SYSUSERS}/agentbus-seal-*.conf {UNITS}/*.d/{FLEET_DROP_IN}
    rmdir --ignore-fail-on-non-empty {UNITS}/*.service.d 2>/dev/null || true
    [ ! -d {STATE} ] || echo "left: {STATE} and {CONFIGURATION}, with the fleet's keys, trail and state"
fi
if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
"""
_SCRIPTS = {"preinst": _BEFORE, "postinst": _AFTER, "prerm": _BEFORE_REMOVAL, "postrm": _REMOVED}


def make_package(recipe: Recipe, folder: Path, say: Callable[[str], None], root: Path | None = None) -> Path:
    """Make `agentbus_VERSION_ARCHITECTURE.deb` in a folder; returns its path.

    `root`: where it is put together and stays, with a release that is there already; else that is gone at the end.

    Raises:
        NotPossible: this is no Debian, or nothing is known of what the program needs.
        InstallError: the program could not be put together.
    """
    if shutil.which("dpkg-deb") is None:
        raise NotPossible(
            "dpkg-deb is not here: a package for Debian is made on Debian, or by --root with tools of your own"
        )
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="agentbus-deb-") as scratch:
        root = root or Path(scratch) / "root"
        root.mkdir(mode=0o755, exist_ok=True)
        done = install(recipe, Work(Tree(root), say, is_packaged=True))
        architecture = run(["dpkg", "--print-architecture"]).strip()
        version = recipe.source.version
        control = _CONTROL.format(
            version=version, architecture=architecture, maintainer=_MAINTAINER,
            depends=", ".join(depends(recipe.interpreter, systemd_version(Tree(Path("/"))))), kib=_kib(root),
        )  # fmt: skip
        _put_control(root, control)
        package = folder / f"agentbus_{version}_{architecture}.deb"
        say(f"build  {package}  ({done.release})")
        run(["dpkg-deb", "--root-owner-group", "-Zzstd", "-z3", "--build", str(root), str(package)])
        _make_removable(Path(scratch))
    return package


def depends(interpreter: Interpreter, systemd: int) -> list[str]:
    """What the package needs of Debian: its systemd, whose drop-ins are in it, and its Python, of this minor version, or
    none where it brings its own."""
    basic = ["git", "libc6", f"systemd (>= {max(systemd, 252)})"]
    if interpreter.is_copied:
        return [*basic, "libffi8", "libssl3 | libssl3t64", "libsqlite3-0", "zlib1g"]
    major, minor = map(int, interpreter.version.split(".")[:2])
    return [*basic, f"python3 (>= {major}.{minor})", f"python3 (<< {major}.{minor + 1})"]


def _put_control(root: Path, control: str) -> None:
    folder = root / "DEBIAN"
    folder.mkdir(mode=0o755, exist_ok=True)
    (folder / "control").write_text(control)
    for name, text in _SCRIPTS.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)


def _kib(root: Path) -> int:
    return sum(path.lstat().st_size for path in root.rglob("*")) // 1024


def _make_removable(root: Path) -> None:
    """Folders of a release are closed, for whoever is not root as well."""
    for path in [root, *root.rglob("*")]:
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)
