"""Runs in place of an agent: tries what its sandbox should allow and refuse, then serves until stopped.

Writes what it found to `found.json` in its state folder before it says READY. SIGUSR1 blocks its loop.
"""

from __future__ import annotations

import asyncio
import ctypes
import getpass
import json
import mmap
import os
import signal
import socket
import stat
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cryptography.hazmat.primitives.asymmetric.ed25519
import msgspec
import nats
import pydantic
import uvloop

from agents.notify import Notifier

LIBRARIES = (cryptography.hazmat.primitives.asymmetric.ed25519, msgspec, nats, pydantic)
FLEET = Path("/var/lib/agentbus")
STATE = Path(os.environ["STATE_DIRECTORY"])
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000


def is_refused(attempt: Callable[[], object]) -> bool:
    """Whether the operating system said no."""
    try:
        attempt()
    except OSError:
        return True
    return False


def names_in(folder: Path) -> list[str]:
    """What lies in a folder, by name."""
    return sorted(entry.name for entry in folder.iterdir())


def run_own_program(folder: Path) -> None:
    """Write a program and start it."""
    program = folder / "program"
    program.write_bytes(Path("/usr/bin/true").read_bytes())
    program.chmod(0o755)
    subprocess.run([program], check=True)


def ask_the_kernel(call: str, *arguments: object) -> None:
    """A call of libc that Python has no name for.

    Raises:
        OSError: the kernel said no.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc[call](*arguments) < 0:
        raise OSError(ctypes.get_errno(), call)


def load_a_map_of_bpf() -> None:
    """An array of one number, which root gets from the kernel wherever BPF is open to it."""
    attributes = struct.pack("=4I", 2, 4, 4, 1)
    ask_the_kernel("syscall", {"x86_64": 321, "aarch64": 280}[os.uname().machine], 0, attributes, len(attributes))


def bear_a_setuid_program() -> None:
    """A program that would run as its owner, whoever starts it."""
    program = STATE / "setuid"
    program.touch()
    program.chmod(0o4755)


ATTEMPTS: dict[str, Callable[[], object]] = {
    "write the program": lambda: Path("/opt/agentbus/current/bin/new").touch(),
    "write its release": lambda: os.open(FLEET / "live/probe/agent.yaml", os.O_WRONLY | os.O_APPEND),
    "switch its release": lambda: (FLEET / "live/new").symlink_to("elsewhere"),
    "write the keys that it trusts": (FLEET / "public/new").touch,
    "make a folder among the fleet's": (FLEET / "new").mkdir,
    "write /etc": lambda: Path("/etc/new").touch(),
    "write /var/tmp": lambda: Path("/var/tmp/new").touch(),
    "see a sibling's release": lambda: names_in(FLEET / "releases/other"),
    "see the keys of the fleet": lambda: names_in(Path("/etc/agentbus/credentials")),
    "see a home folder": lambda: names_in(Path("/root")),
    "run a program from its state folder": lambda: run_own_program(STATE),
    "run a program from /tmp": lambda: run_own_program(Path(tempfile.mkdtemp())),
    "see raw packets": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
    "speak raw IP": lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
    "become root in a namespace": lambda: ask_the_kernel("unshare", CLONE_NEWUSER),
    "have a network of its own": lambda: ask_the_kernel("unshare", CLONE_NEWNET),
    "mount something": lambda: ask_the_kernel("mount", b"none", str(STATE).encode(), b"tmpfs", 0, None),
    "load a map of BPF": load_a_map_of_bpf,
    "be traced": lambda: ask_the_kernel("ptrace", 0, 0, None, None),
    "write what it runs": lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC),
    "bear a setuid program": bear_a_setuid_program,
    "make a device": lambda: os.mknod(STATE / "device", stat.S_IFCHR | 0o600, os.makedev(1, 3)),
    "see the keys of nats-server's unit": lambda: names_in(Path("/run/credentials/nats-server.service")),
    "go before others": lambda: os.nice(-5),
    "signal another user's process": lambda: os.kill(1, signal.SIGCONT),
    "change the clock": lambda: time.clock_settime(time.CLOCK_REALTIME, time.time()),
    "set a file's owner": lambda: os.chown(STATE / "found.json", 0, 0),
}


def answer_of_the_server() -> str:
    """The first word nats-server says."""
    with socket.create_connection(("127.0.0.1", 4222), timeout=5) as connection:
        return connection.recv(4).decode()


def found() -> dict[str, object]:
    """Everything the tests ask about."""
    (STATE / "found.json").write_text("{}")
    (FLEET / "state" / "probe" / "written").touch()
    git = subprocess.run(["git", "--version"], capture_output=True, text=True, check=True)
    status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
    return {
        "user": getpass.getuser(),
        "key": Path(os.environ["CREDENTIALS_DIRECTORY"], "agent_bus.nk").read_text(),
        "git": git.stdout,
        "release": (FLEET / "live/probe/agent.yaml").read_text(),
        "server": answer_of_the_server(),
        "child_process": subprocess.run(["/bin/sh", "-c", "exit 0"], check=False).returncode,
        "state_written": (STATE / "written").exists(),
        "refused": {name: is_refused(attempt) for name, attempt in ATTEMPTS.items()},
        "fleet_folder": names_in(FLEET),
        "others_state": names_in(FLEET / "state"),
        "other_processes": [pid for pid in names_in(Path("/proc")) if pid.isdigit() and pid != str(os.getpid())],
        "capabilities": status["CapBnd"],
    }


def block_the_loop() -> None:
    """What a careless handler does."""
    time.sleep(600)


async def serve() -> None:
    """Be a well-behaved unit until SIGTERM."""
    notifier = Notifier.from_environment()
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    loop.add_signal_handler(signal.SIGUSR1, block_the_loop)
    feeding = asyncio.create_task(notifier.feed_watchdog())
    (STATE / "found.json").write_text(json.dumps(found()))
    notifier.ready("serving")
    await stopped.wait()
    notifier.stopping()
    feeding.cancel()


if __name__ == "__main__":
    uvloop.run(serve())
