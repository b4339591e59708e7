"""Starts a command where it can do little harm: a root of its own, no network, no other process, hard limits.

    python -I -S jail.py '{"command": ["/usr/bin/python3", "-m", "agents.cli"], "readable": ["/opt/agentbus"], …}'
    python -I -S jail.py -          # the object on standard input, which the command then has not

A program of the standard library alone, which others start with one JSON object (`Jail`). With `namespaces` the
command is the first process of new mount, pid, network, ipc, uts and cgroup namespaces (and, where the caller is not
root, of a user namespace): it sees the folders of `readable` and nothing else of the machine, all of them read-only;
a `/tmp` of limited size; with `workspace`, that folder at `/workspace`, the only one that it writes to and that stays; no network, not even loopback; and when it ends, everything it started ends. Without, there
are the limits alone. In both it has no privileges and can gain none, by a user namespace of its own either.

Not guaranteed: a limit on the memory of all processes together (each has its own), and anything that the kernel
itself lets a process of another user do. SIGTERM kills the command, and this ends when all it started has ended. Exit
status: the command's own; 71 (EX_OSERR) when it cannot be confined, as where the namespaces
cannot be had, and then nothing was started.

Source: namespaces(7), user_namespaces(7), pivot_root(2), mount_setattr(2), prctl(2), setrlimit(2), seccomp(2).
"""

from __future__ import annotations

import ctypes
import dataclasses
import errno
import json
import os
import resource
import signal
import socket
import struct
import sys
from pathlib import Path

EX_OSERR = 71
_LIBC = ctypes.CDLL(None, use_errno=True)
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_BIND, _MS_REC, _MS_PRIVATE = 2, 4, 8, 4096, 16384, 1 << 18
_MNT_DETACH = 2
_SYS_MOUNT_SETATTR = 442  # one number on every machine, as of all calls since Linux 5.1
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_ATTR_RDONLY, _ATTR_NOSUID, _ATTR_NODEV = 1, 2, 4
_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 22, 38
_SECCOMP_MODE_FILTER = 2
_CLONE_NEWUSER = 0x1000_0000
_CLONE3 = 435
_MACHINES = {"x86_64": (0xC000_003E, 56, 272), "aarch64": (0xC000_00B7, 220, 97), "riscv64": (0xC000_00F3, 220, 97)}
"""Of a machine: what seccomp calls it, and its numbers of clone and unshare."""
_FREE_USERS, _NOBODY = 0x7000_0000, 65534
"""Numbers that no user has: each jail of root takes one at random, so that its processes are counted on their own."""
_STAGE = "/sys"
"""Where the new root is put together: a folder that every machine has and no command needs."""
_TMP = "/tmp"  # noqa: S108  its own
WORKSPACE = "/workspace"
"""Where the command sees its `Jail.workspace`, and where it begins."""
_DEVICES = ("null", "zero", "full", "random", "urandom")
_LINKS = {"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"}


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """What a check may use. `memory_bytes`, `file_bytes` and `open_files` are for each process."""

    seconds: float = 60.0
    memory_bytes: int = 1 << 30
    processes: int = 64
    file_bytes: int = 16 << 20
    tmp_bytes: int = 64 << 20
    open_files: int = 256


@dataclasses.dataclass(frozen=True, slots=True)
class Jail:
    """What is started and what it sees. `hidden` is covered even where it lies in a readable folder.

    `workspace` is a folder that the command may write to; only with namespaces. What is in it becomes the command's
    own where the caller is root.
    """

    command: list[str]
    environment: dict[str, str]
    readable: list[str]
    hidden: list[str]
    limits: Limits
    namespaces: bool
    workspace: str = ""

    @classmethod
    def from_json(cls, text: str) -> Jail:
        """The object as it stands in the argument."""
        fields = json.loads(text)
        return cls(**{**fields, "limits": Limits(**fields["limits"])})

    def to_json(self) -> str:
        """The argument of the program."""
        return json.dumps(dataclasses.asdict(self))


def argv(jail: Jail) -> list[str]:
    """How to start this program; it prints nothing but on standard error, and hands its files on to the command."""
    return [*argv_of_stdin(), jail.to_json()]


def argv_of_stdin() -> list[str]:
    """How to start it without the object: `-` after it has it read from standard input, where nobody else sees it."""
    return [sys.executable, "-I", "-S", __file__]


def main() -> int:
    """Enter and run; see the module. Who started this and dies takes everything along."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    jail = Jail.from_json(_argument())
    if not jail.namespaces and jail.workspace:
        return _refused(OSError("a workspace needs them"))
    if not jail.namespaces:
        try:
            _confine(jail.limits, already=_tasks_of_user())
        except OSError as error:
            return _refused(error)
        _execute(jail)
    try:
        _unshare()
    except (OSError, AttributeError) as error:
        return _refused(error)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    pid = os.fork()  # the first process of the new pid namespace is the next one
    if pid == 0:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        _inside(jail)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(pid, signal.SIGKILL))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    _, status = os.waitpid(pid, 0)  # not before everything in the namespace has ended
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _argument() -> str:
    """The object; read from standard input, that is at its end for good."""
    if sys.argv[1] != "-":
        return sys.argv[1]
    text = sys.stdin.read()
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    return text


def _inside(jail: Jail) -> None:
    """Of the first process in the namespaces; does not return."""
    try:
        _build_root(jail)
        _confine(jail.limits, own=WORKSPACE if jail.workspace else "")
    except OSError as error:
        os._exit(_refused(error))
    _execute(jail)


def _refused(error: Exception) -> int:
    print(f"nothing can be confined here: {error}", file=sys.stderr, flush=True)
    return EX_OSERR


def _unshare() -> None:
    """New namespaces. Who is not root becomes, for their making only, root of a user namespace."""
    user, group = os.geteuid(), os.getegid()
    flags = os.CLONE_NEWNS | os.CLONE_NEWPID | os.CLONE_NEWNET | os.CLONE_NEWIPC | os.CLONE_NEWUTS | os.CLONE_NEWCGROUP
    os.unshare(flags | (os.CLONE_NEWUSER if user else 0))
    if user:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    socket.sethostname("check")


def _build_root(jail: Jail) -> None:
    """Put the new root together and make it the only one; nothing of the old one stays reachable."""
    _mount("", "/", "", _MS_REC | _MS_PRIVATE)
    _mount("tmpfs", _STAGE, "tmpfs", _MS_NOSUID | _MS_NODEV, "mode=755,size=1m")
    _make_tmp(f"{_STAGE}{_TMP}", jail.limits.tmp_bytes)
    _make_dev(f"{_STAGE}/dev")
    _make_proc(f"{_STAGE}/proc")
    for path in sorted(set(jail.readable)):
        _show(path)
    for path in jail.hidden:
        if Path(_STAGE + path).is_dir():
            _mount("tmpfs", _STAGE + path, "tmpfs", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC, "mode=000,size=4k")
            _set_attributes(_STAGE + path, _ATTR_RDONLY)
    if jail.workspace:
        _show_workspace(jail.workspace)
    os.chdir(_STAGE)
    _check(_LIBC.pivot_root(b".", b"."), "pivot_root")
    _check(_LIBC.umount2(b".", _MNT_DETACH), "umount2")
    os.chdir(WORKSPACE if jail.workspace else _TMP)
    _set_attributes("/", _ATTR_RDONLY, recursive=False)


def _show_workspace(path: str) -> None:
    target = _STAGE + WORKSPACE
    Path(target).mkdir()
    _mount(path, target, "", _MS_BIND)
    _set_attributes(target, _ATTR_NOSUID | _ATTR_NODEV)


def _make_tmp(path: str, size: int) -> None:
    Path(path).mkdir()
    options = f"mode=1777,size={size},nr_inodes=10000"
    _mount("tmpfs", path, "tmpfs", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC, options)


def _make_dev(path: str) -> None:
    Path(path).mkdir()
    for name in _DEVICES:
        Path(path, name).touch()
        _mount(f"/dev/{name}", f"{path}/{name}", "", _MS_BIND)
        _set_attributes(f"{path}/{name}", _ATTR_RDONLY | _ATTR_NOSUID)
    for name, target in _LINKS.items():
        Path(path, name).symlink_to(target)
    _make_tmp(f"{path}/shm", 1 << 20)


def _make_proc(path: str) -> None:
    """Its own processes; an empty folder where the kernel does not allow even that, as in some containers."""
    Path(path).mkdir()
    try:
        _mount("proc", path, "proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC, "subset=pid")
    except OSError:
        return


def _show(path: str) -> None:
    """The same at the same path of the new root, read-only; what is there already stays."""
    source, target = Path(path), Path(_STAGE + path)
    if not source.exists() or os.path.lexists(target):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_symlink():
        target.symlink_to(source.readlink())
        return
    if source.is_dir():
        target.mkdir()
    else:
        target.touch()
    _mount(path, str(target), "", _MS_BIND | _MS_REC)
    _set_attributes(str(target), _ATTR_RDONLY | _ATTR_NOSUID | _ATTR_NODEV)


def _confine(limits: Limits, *, already: int = 0, own: str = "") -> None:
    """No privileges from here on, and limits. `already` tasks of the same user are counted by the kernel too.

    Where the user changes, everything in the folder `own` is made the new one's.
    """
    _set_limits(limits, already)
    if os.geteuid() == 0:
        _become_nobody(own)
    _check(_LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl")
    _forbid_users()
    _check(_LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")  # a change of user undoes it: last


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def _forbid_users() -> None:
    """No user namespaces: who makes one is root in it, and could mount file systems in memory that nothing limits.

    The kernel lets any process make them. clone3 has its flags where no filter sees them, and is not there; libraries
    then take clone. Calls by the numbers of another machine are refused.
    """
    machine = os.uname().machine
    if machine not in _MACHINES:
        raise OSError(f"what keeps commands from user namespaces is not known for {machine}")
    steps = _steps(*_MACHINES[machine])
    program = _Program(len(steps) // 8, steps)
    _check(_LIBC.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0), "prctl")


def _steps(machine: int, clone: int, unshare: int) -> bytes:
    """A filter as the kernel takes it: of each step the code, how many to skip where it is so and where not, a number.

    Source: seccomp(2), linux/seccomp.h (number at 0, machine at 4, first argument at 16), linux/bpf_common.h.
    """
    load, equal, at_least, has_bit, end = 0x20, 0x15, 0x35, 0x45, 0x06
    allow, refuse, not_there = 0x7FFF_0000, 0x0005_0000 | errno.EPERM, 0x0005_0000 | errno.ENOSYS
    steps = (
        (load, 0, 0, 4), (equal, 1, 0, machine), (end, 0, 0, refuse),
        (load, 0, 0, 0), (at_least, 7, 0, 0x4000_0000), (equal, 7, 0, _CLONE3),
        (equal, 2, 0, unshare), (equal, 1, 0, clone), (end, 0, 0, allow),
        (load, 0, 0, 16), (has_bit, 1, 0, _CLONE_NEWUSER), (end, 0, 0, allow), (end, 0, 0, refuse), (end, 0, 0, not_there),
    )  # fmt: skip
    return b"".join(struct.pack("=HBBI", *step) for step in steps)


def _set_limits(limits: Limits, already: int) -> None:
    for kind, value in (
        (resource.RLIMIT_AS, limits.memory_bytes),
        (resource.RLIMIT_CPU, int(limits.seconds) + 1),
        (resource.RLIMIT_NPROC, limits.processes + already),
        (resource.RLIMIT_FSIZE, limits.file_bytes),
        (resource.RLIMIT_NOFILE, limits.open_files),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        least = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (least, least))


def _become_nobody(own: str) -> None:
    os.setgroups([])
    number = _FREE_USERS + int.from_bytes(os.urandom(3))
    try:
        _give(own, number)
        os.setresgid(number, number, number)
        os.setresuid(number, number, number)
    except OSError:  # a container that has few numbers
        _give(own, _NOBODY)
        os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)


def _give(folder: str, number: int) -> None:
    """Links are given themselves, not what they lead to; files of several names only where all are in the folder."""
    if not folder:
        return
    os.chown(folder, number, number)
    for _, folders, files, descriptor in os.fwalk(folder, follow_symlinks=False):
        for name in (*folders, *files):
            os.chown(name, number, number, dir_fd=descriptor, follow_symlinks=False)


def _tasks_of_user() -> int:
    """How many threads the caller's user has; none for root, which is another user afterwards."""
    user = os.geteuid()
    if not user:
        return 0
    found = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            found += len(list((folder / "task").iterdir())) if folder.stat().st_uid == user else 0
        except OSError:
            continue
    return found


def _execute(jail: Jail) -> None:
    os.closerange(3, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    try:
        os.execve(jail.command[0], jail.command, jail.environment)  # noqa: S606  no shell is wanted
    except OSError as error:
        print(f"cannot start {jail.command[0]}: {error.strerror}", file=sys.stderr, flush=True)
        os._exit(EX_OSERR)


def _mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    texts = source.encode(), target.encode(), kind.encode() or None
    _check(_LIBC.mount(*texts, ctypes.c_ulong(flags), options.encode() or None), f"mount {target}")


def _set_attributes(path: str, attributes: int, *, recursive: bool = True) -> None:
    """Add attributes to a mount and those under it; what is locked by an outer namespace stays locked."""
    wanted = (ctypes.c_uint64 * 4)(attributes, 0, 0, 0)
    flags = _AT_RECURSIVE if recursive else 0
    number = ctypes.c_long(_SYS_MOUNT_SETATTR)
    _check(
        _LIBC.syscall(number, _AT_FDCWD, path.encode(), flags, ctypes.byref(wanted), ctypes.sizeof(wanted)),
        f"mount_setattr {path}",
    )


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


if __name__ == "__main__":
    sys.exit(main())
