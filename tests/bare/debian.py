"""A Debian as its installer leaves it, from the registry, kept outside the checkout; and a shell in it with a network."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.bare.python import handed_over
from tests.harness.systemd_units import CHECKOUT

CACHE = Path(os.environ.get("AGENTBUS_BARE_CACHE", "/var/cache/agentbus-bare"))
_PACKAGES = "systemd,systemd-sysv,dbus,ca-certificates"
"""What every Debian server has beside the smallest set."""
_TRUST = "/etc/ssl/certs/ca-certificates.crt"
_SOURCE = "/root/agentbus"
_SHELL = """\
set -e
mount --make-rprivate /
mount -t overlay overlay -o "lowerdir=$BASE,upperdir=$OWN/upper,workdir=$OWN/work" "$OWN/root"
mount -t proc proc "$OWN/root/proc"
mount --rbind /dev "$OWN/root/dev"
mount -t tmpfs tmpfs "$OWN/root/tmp"
exec chroot "$OWN/root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/bin HOME=/root LANG=C.UTF-8 $PYTHONS \
    DEBIAN_FRONTEND=noninteractive /bin/bash -c "cd $SOURCE && $COMMAND"
"""


def base(release: str) -> Path:
    """The file system of a Debian release; made once, half a minute to minutes as the registry is fast.

    Raises:
        subprocess.CalledProcessError: debootstrap failed; it said why.
    """
    folder = CACHE / release
    if not folder.is_dir():
        CACHE.mkdir(parents=True, exist_ok=True)
        fresh = CACHE / f".{release}.new"
        shutil.rmtree(fresh, ignore_errors=True)
        command = ["debootstrap", "--variant=minbase", f"--include={_PACKAGES}", release, str(fresh)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        fresh.rename(folder)
    return folder


@dataclass(frozen=True, slots=True)
class Server:
    """A machine of its own on top of a base, which stays as it is."""

    base: Path
    own: Path
    pythons: str = ""
    """What uv is told about where Pythons are; nothing: what it knows itself."""

    @property
    def layers(self) -> str:
        """Its file system, as an overlay's `lowerdir=`."""
        return f"{self.own / 'upper'}:{self.base}"

    def type(self, command: str) -> str:
        """Run a line as root in the source folder, with this machine's network; returns what it printed.

        Raises:
            AssertionError: it failed; the message has what it printed.
        """
        environment = {
            **os.environ,
            "BASE": str(self.base),
            "OWN": str(self.own),
            "SOURCE": _SOURCE,
            "COMMAND": command,
            "PYTHONS": self.pythons,
        }
        done = subprocess.run(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child=KILL", "/bin/bash", "-c", _SHELL], env=environment,
            check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, timeout=1500,
        )  # fmt: skip
        assert done.returncode == 0, f"# {command}\n{done.stdout}"
        return done.stdout


@contextlib.contextmanager
def server(release: str, *, hands_python: bool = False) -> Iterator[Server]:
    """A new one, with the source in /root and this machine's name server and trust; gone at the end.

    `hands_python`: uv gets the Python that runs this, where it would download one.
    """
    below = base(release)
    with tempfile.TemporaryDirectory(prefix="agentbus-bare-", dir=CACHE) as folder:
        own = Path(folder)
        for name in ("upper", "work", "root"):
            (own / name).mkdir()
        _put_source(own / "upper" / _SOURCE.lstrip("/"))
        for file in ("/etc/resolv.conf", _TRUST):
            target = own / "upper" / file.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
        yield Server(below, own, handed_over(own / "upper") if hands_python else "")


def _put_source(to: Path) -> None:
    """The checkout as somebody gets it: what git would carry, also what is not committed yet."""
    listed = ["git", "-C", str(CHECKOUT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listed, check=True, capture_output=True, text=True).stdout.split("\0"):
        file = CHECKOUT / name
        if name and file.is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, to / name)
