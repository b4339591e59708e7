"""The program that becomes PID 1 of a guest: builds its root, moves into it, turns into systemd.

Started by `systemd_boot.py` in new namespaces, with the name of a plan file. Standard library only, and
nothing of the tests: it runs with `-IS`.

Source: systemd's "Container Interface"; pivot_root(2); overlayfs.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

V1_CONTROLLERS = ("cpu", "cpuacct", "pids", "memory", "blkio", "devices", "freezer")
HOST_CGROUPS = Path("/sys/fs/cgroup")
SYSTEMD = "/lib/systemd/systemd"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PR_SET_PDEATHSIG = 1
_MASKED = (
    "apt-daily-upgrade.timer",
    "apt-daily.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "fstrim.timer",
    "kmod-static-nodes.service",
    "ldconfig.service",
    "man-db.timer",
    "proc-sys-fs-binfmt_misc.automount",
    "sys-fs-fuse-connections.mount",
    "sys-kernel-config.mount",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "systemd-binfmt.service",
    "systemd-firstboot.service",
    "systemd-logind.service",
    "systemd-modules-load.service",
    "systemd-networkd.service",
    "systemd-networkd.socket",
    "systemd-remount-fs.service",
    "systemd-resolved.service",
    "systemd-sysctl.service",
    "systemd-timesyncd.service",
    "systemd-tmpfiles-clean.timer",
    "systemd-udev-trigger.service",
    "systemd-udevd-control.socket",
    "systemd-udevd-kernel.socket",
    "systemd-udevd.service",
    "systemd-update-utmp.service",
)
"""Units of the host's distribution that mean nothing here, or that would reach for the host's kernel."""
_TARGET = """\
[Unit]
Description=Booted far enough for tests
Requires=basic.target dbus.socket
After=basic.target dbus.socket
"""
_OWN_FILES = {
    "/etc/systemd/system/harness.target": _TARGET,
    "/etc/systemd/journald.conf.d/harness.conf": "[Journal]\nStorage=volatile\nRateLimitBurst=0\n",
    "/etc/fstab": "",
    "/etc/hostname": "guest\n",
    "/etc/machine-id": "0123456789abcdef0123456789abcdef\n",
}


def _mount(kind: str, source: str, target: Path, options: str = "") -> None:
    target.mkdir(parents=True, exist_ok=True)
    _tool("mount", "-n", "-t", kind, *(["-o", options] if options else []), source, str(target))


def _bind(source: str, target: Path, *more: str) -> None:
    if Path(source).is_dir():
        target.mkdir(parents=True, exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    _tool("mount", "-n", "--rbind", *more, source, str(target))


def _tool(*command: str) -> None:
    subprocess.run(command, check=True)


def _become_systemd(plan_file: str) -> None:
    """Build the guest's root, move into it, and turn into systemd. Runs as PID 1 and does not return."""
    plan = json.loads(Path(plan_file).read_text())
    _tool("mount", "--make-rprivate", "/")
    root = _overlay(Path(plan["scratch"]), plan["root"])
    _fill(root, plan)
    arguments = [*_cgroup_mounts(root / "sys"), "systemd.unit=harness.target", "systemd.show_status=no"]
    _devices(root / "dev")
    _mount("tmpfs", "tmpfs", root / "run", "mode=755,nosuid,nodev")
    (root / "old").mkdir()
    os.chdir(root)
    _tool("pivot_root", ".", "old")
    _tool("umount", "-n", "-l", "/old")
    # left to the container's maker; without it LoadCredential= fails with EACCES
    _tool("mount", "--make-rshared", "/")
    environment = {"PATH": PATH, "LANG": "C.UTF-8", "TERM": "dumb", "container": "agentbus"}
    os.execve(SYSTEMD, [SYSTEMD, "--system", *arguments], environment)  # noqa: S606  no shell is the point


def _overlay(scratch: Path, below: str) -> Path:
    """The root that is below, this machine's or another, with a memory file system that takes every write."""
    _mount("tmpfs", "tmpfs", scratch / "layers", "mode=755")
    for name in ("upper", "work"):
        (scratch / "layers" / name).mkdir()
    layers = f"lowerdir={below},upperdir={scratch}/layers/upper,workdir={scratch}/layers/work"
    root = scratch / "layers" / "root"
    _mount("overlay", "overlay", root, layers)
    return root


def _fill(root: Path, plan: Mapping[str, Mapping[str, str]]) -> None:
    def within(path: str) -> Path:
        return root / path.lstrip("/")

    for marker in (".dockerenv", "run/.containerenv"):
        (root / marker).unlink(missing_ok=True)  # with one of them systemd does not read its own arguments
    for folder in ("tmp", "var/tmp"):
        _mount(
            "tmpfs", "tmpfs", root / folder, "mode=1777"
        )  # else systemd-tmpfiles cleans the host's, through the overlay
    shutil.rmtree(root / "var/log/journal", ignore_errors=True)
    for path, text in {**_OWN_FILES, **plan["files"]}.items():
        target = within(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        target.write_text(text)
        target.chmod(0o755 if text.startswith("#!") else 0o644)
    for unit in _MASKED:
        link = root / "etc/systemd/system" / unit
        link.unlink(missing_ok=True)
        link.symlink_to("/dev/null")
    for path, source in plan["copies"].items():
        within(path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, within(path))
    for path, source in plan["binds"].items():
        _bind(source, within(path))
        _tool("mount", "-n", "-o", "remount,bind,ro", str(within(path)))


def _cgroup_mounts(sys_folder: Path) -> list[str]:
    """Mount /proc and /sys with the host's kind of cgroups; returns what systemd must be told about it."""
    _mount("proc", "proc", sys_folder.parent / "proc", "nosuid,nodev,noexec")
    # there is one kernel: its settings are the host's, and systemd raises some of them when it starts
    settings = sys_folder.parent / "proc/sys"
    _bind(str(settings), settings)
    _tool("mount", "-n", "-o", "remount,bind,ro", str(settings))
    _mount("sysfs", "sysfs", sys_folder, "ro,nosuid,nodev,noexec")
    top = sys_folder / "fs/cgroup"
    if (HOST_CGROUPS / "cgroup.controllers").exists():
        _mount("cgroup2", "cgroup2", top, "nosuid,nodev,noexec")
        return []
    _mount("tmpfs", "tmpfs", top, "mode=755")
    _mount("cgroup", "cgroup", top / "systemd", "none,name=systemd")
    for controller in V1_CONTROLLERS:
        if (HOST_CGROUPS / controller).is_dir():
            _mount("cgroup", "cgroup", top / controller, controller)
    legacy = "systemd.unified_cgroup_hierarchy=no systemd.legacy_systemd_cgroup_controller=yes"
    return [*legacy.split(), "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1"]


def _devices(dev: Path) -> None:
    _mount("tmpfs", "tmpfs", dev, "mode=755,nosuid")
    for name in ("null", "zero", "full", "random", "urandom", "tty"):
        _bind(f"/dev/{name}", dev / name)
    _mount("devpts", "devpts", dev / "pts", "newinstance,ptmxmode=0666,mode=620,gid=5")
    _mount("tmpfs", "tmpfs", dev / "shm", "mode=1777")
    links = {"ptmx": "pts/ptmx", "fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}
    for name, target in links.items():
        (dev / name).symlink_to(target)


if __name__ == "__main__":
    # nobody may outlive the host's test run, not even half built
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    _become_systemd(sys.argv[1])
