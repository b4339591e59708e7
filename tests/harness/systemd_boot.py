"""A real systemd as PID 1, in namespaces of its own, on a machine that need not run systemd itself.

    with booted(Guest(units=...)) as machine:
        machine.run("systemctl start nats-server").check()

The guest is this machine's file system (or another one that is given) under an overlay: what it writes is gone with it, and nothing
of it reaches the host. It has its own processes, network (loopback only), mounts and cgroups. Boots in
about a second; needs root, cgroups that can be written, and systemd ≥ 252 on the host.

Not everything is as on a server: where the host has cgroup v1, `IPAddressDeny=`, `SocketBindDeny=` and
`MemoryHigh=` are accepted and not enforced. Everything else of our units is.

`systemd_pid1.py` is the program that builds the guest from inside and becomes its PID 1.
Source: namespaces(7); unshare(1); nsenter(1).
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.harness.needs import Reason
from tests.harness.systemd_pid1 import HOST_CGROUPS, PATH, SYSTEMD, V1_CONTROLLERS

_BOOT_S = 30.0
_POWEROFF_S = 10.0
_PID1 = Path(__file__).with_name("systemd_pid1.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """What is put into the guest before it boots; keys are absolute paths there.

    `files`: contents, with the mode 0755 when they begin with `#!`. `copies` and `binds`: host paths;
    a bind is read-only. `root`: the folders that its file system is laid over, the topmost first, as an overlay's
    `lowerdir=` names them.
    """

    files: Mapping[str, str] = field(default_factory=dict)
    copies: Mapping[str, str] = field(default_factory=dict)
    binds: Mapping[str, str] = field(default_factory=dict)
    root: str = "/"


@dataclass(frozen=True, slots=True)
class Finished:
    """How a command in the guest ended."""

    command: str
    code: int
    out: str
    err: str

    def check(self) -> str:
        """Its standard output.

        Raises:
            AssertionError: it did not end with 0; the message has everything it said.
        """
        assert self.code == 0, f"{self.command!r} ended with {self.code}\n{self.out}\n{self.err}"
        return self.out.strip()


@dataclass(frozen=True, slots=True)
class Machine:
    """A booted guest; `pid` is its PID 1 as the host sees it."""

    pid: int

    def run(self, script: str, *, timeout_s: float = 30) -> Finished:
        """Run a bash script in the guest, as root, and wait for it.

        Raises:
            subprocess.TimeoutExpired: it took longer; it was killed.
        """
        spaces = ["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd"]
        command = ["nsenter", "-t", str(self.pid), *spaces, "/bin/bash", "-c", script]
        environment = {"PATH": PATH, "LANG": "C.UTF-8", "HOME": "/root"}
        done = subprocess.run(
            command,
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        return Finished(script, done.returncode, done.stdout, done.stderr)

    def properties(self, unit: str, *names: str) -> dict[str, str]:
        """Properties of a unit as systemd has them now."""
        shown = self.run(f"systemctl show '{unit}' --property={','.join(names)}").check()
        return dict(line.split("=", 1) for line in shown.splitlines())

    def wait_for(self, unit: str, *, timeout_s: float = 20, **expected: str) -> dict[str, str]:
        """Poll until the unit's properties have the expected values.

        Raises:
            AssertionError: they did not in time; the message has the last values and the unit's journal.
        """
        deadline = time.monotonic() + timeout_s
        while (now := self.properties(unit, *expected)) != expected:
            if time.monotonic() > deadline:
                raise AssertionError(f"{unit} is {now}, not {expected}\n{self.journal(unit)}")
            time.sleep(0.05)
        return now

    def journal(self, unit: str) -> str:
        """What the unit, and systemd about it, wrote to the journal."""
        self.run("journalctl --sync")
        return self.run(f"journalctl --no-pager --output=cat --unit='{unit}'").out


@functools.cache
def obstacle() -> Reason | None:
    """Why a guest cannot be booted here."""
    if os.geteuid() != 0:
        return Reason.ROOT
    tools = ("unshare", "nsenter", "mount", "pivot_root", "systemctl")
    if not all(map(shutil.which, tools)) or not Path(SYSTEMD).exists():
        return Reason.SYSTEMD
    if not any(os.access(folder, os.W_OK) for folder in _cgroup_parents()):
        return Reason.CGROUPS
    tried = subprocess.run(["unshare", "--mount", "--pid", "--fork", "true"], capture_output=True, check=False)
    return Reason.NAMESPACES if tried.returncode else None


@contextlib.contextmanager
def booted(guest: Guest) -> Iterator[Machine]:
    """Boot `guest`; it is powered off at the end, by force where it must be.

    Raises:
        AssertionError: it did not come up; the message has its console.
    """
    with tempfile.TemporaryDirectory(prefix="agentbus-guest-") as scratch, _cgroups() as cgroups:
        plan, console = Path(scratch, "plan.json"), Path(scratch, "console")
        plan.write_text(json.dumps({**asdict(guest), "scratch": scratch}))
        with console.open("wb") as log:
            starter = subprocess.Popen(_start_command(cgroups, plan), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            yield _wait_until_up(starter, console)
        finally:
            _power_off(starter)


def _start_command(cgroups: Sequence[Path], plan: Path) -> list[str]:
    """Join the cgroups, then become PID 1 of new namespaces; the guest dies when this process does."""
    join = "".join(f"echo $$ >'{folder}/cgroup.procs'; " for folder in cgroups)
    spaces = "unshare --mount --uts --ipc --net --pid --cgroup --fork --kill-child=KILL"
    program = f"exec setpriv --pdeathsig KILL {spaces} '{sys.executable}' -IS '{_PID1}' '{plan}'"
    return ["/bin/sh", "-ec", join + program]


def _wait_until_up(starter: subprocess.Popen[bytes], console: Path) -> Machine:
    deadline = time.monotonic() + _BOOT_S
    while time.monotonic() < deadline and starter.poll() is None:
        machine = Machine(_child_of(starter.pid))
        if machine.pid and machine.run("systemctl is-active harness.target").out.strip() == "active":
            return machine
        time.sleep(0.05)
    raise AssertionError(f"the guest did not come up in {_BOOT_S:g} s:\n{console.read_text(errors='replace')}")


def _child_of(pid: int) -> int:
    """The guest's PID 1, or 0 as long as there is none that runs systemd."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        if len(children) == 1 and Path(f"/proc/{children[0]}/comm").read_text().strip() == "systemd":
            return int(children[0])
    except FileNotFoundError:
        pass
    return 0


def _power_off(starter: subprocess.Popen[bytes]) -> None:
    child = _child_of(starter.pid)
    if child:
        os.kill(child, signal.SIGRTMIN + 4)  # systemd(1): poweroff.target
        with contextlib.suppress(subprocess.TimeoutExpired):
            starter.wait(_POWEROFF_S)
    starter.kill()
    starter.wait()


def _cgroup_parents() -> list[Path]:
    """The cgroups this process is in, one per hierarchy that systemd needs."""
    memberships = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    if (HOST_CGROUPS / "cgroup.controllers").exists():
        return [HOST_CGROUPS / path.lstrip("/") for _, names, path in memberships if not names]
    wanted = {*V1_CONTROLLERS, "name=systemd"}
    return [
        HOST_CGROUPS / names.removeprefix("name=") / path.lstrip("/")
        for _, names, path in memberships
        if names in wanted
    ]


@contextlib.contextmanager
def _cgroups() -> Iterator[list[Path]]:
    """A cgroup of the guest's own in every hierarchy, so that its limits and ours never meet."""
    made = [parent / f"agentbus-guest-{os.getpid()}-{time.monotonic_ns()}" for parent in _cgroup_parents()]
    try:
        for folder in made:
            folder.mkdir()
        yield made
    finally:
        for folder in made:
            _remove_cgroup(folder)


def _remove_cgroup(top: Path) -> None:
    """Remove a tree of cgroups, children first; those of a process that is just ending are tried again."""
    deadline = time.monotonic() + 5
    while top.exists() and time.monotonic() < deadline:
        for folder, _, _ in os.walk(top, topdown=False):
            with contextlib.suppress(OSError):
                Path(folder).rmdir()
        if top.exists():
            time.sleep(0.05)
