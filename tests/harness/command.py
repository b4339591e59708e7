"""`agentbus …` in a process of its own that need not import first what others have imported before it.

A command takes half a second of a processor until its first line, and the tests type hundreds. So one process for each
process of tests (`python -m tests.harness.command`) imports the command line and forks for each command. All else is
the command's own: arguments, environment, folder, standard output and error, its end. `python -m agents.cli` itself is
what fleets are started with, what tests that need a terminal or a signal start, and what the README's test types.
"""

from __future__ import annotations

import array
import atexit
import functools
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_CHECKOUT = Path(__file__).parents[2]
_IMPORTED = ("schemas", "bus", "approvals", "agents.cli")
_LEFT_OUT = ("bus.sdk_transport",)
"""It imports another project's package, which commands have no use for."""
_LARGEST_ORDER = 1 << 20
_STARTING = threading.Lock()


def agentbus(
    *arguments: str | Path,
    env: Mapping[str, str] | None = None,
    cwd: Path = _CHECKOUT,
    timeout_s: float = 60,
    stdin: str = "",
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; `env` is its whole environment, that of this process unless given.

    `stdin` is what it reads, from a file; the null device without any.

    Raises:
        subprocess.TimeoutExpired: it was killed, for it took longer.
    """
    words = list(map(str, arguments))
    order = json.dumps({"arguments": words, "env": dict(os.environ if env is None else env), "cwd": str(cwd)})
    with (
        tempfile.TemporaryFile() if stdin else Path(os.devnull).open("rb") as read,
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as err,
        socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as line,
    ):
        line.settimeout(timeout_s)
        line.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _LARGEST_ORDER)
        line.connect(_forking())
        if stdin:
            read.write(stdin.encode())
            read.seek(0)
        files = array.array("i", [read.fileno(), out.fileno(), err.fileno()])
        line.sendmsg([order.encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, files)])
        pid = int(line.recv(64))
        try:
            code = int(line.recv(64))
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)
            raise subprocess.TimeoutExpired(words, timeout_s) from None
        said = [Path(f"/proc/self/fd/{file.fileno()}").read_text() for file in (out, err)]
    return subprocess.CompletedProcess(words, code, *said)


def _forking() -> bytes:
    """Where the forking process listens; it is started when it is first wanted."""
    with _STARTING:
        return _started()


@functools.cache
def _started() -> bytes:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind("")  # an abstract name that nobody has. Source: unix(7), autobind
        listener.listen(64)
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.harness.command", str(listener.fileno())],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, pass_fds=[listener.fileno()], cwd=_CHECKOUT,
        )  # fmt: skip
        atexit.register(process.communicate)  # the end of its input is its end
        name: bytes = listener.getsockname()
        return name


def _import_commands() -> None:
    for package in map(importlib.import_module, _IMPORTED):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__") and module.name not in _LEFT_OUT:
                importlib.import_module(module.name)


def _forks(listener: socket.socket) -> None:
    """Fork for each order until the input ends; returns only in a process that is to be a command."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        ready, _, _ = select.select([listener, sys.stdin], [], [])
        if listener not in ready:
            os._exit(0)
        line, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            return _attend(line)
        line.close()


def _attend(line: socket.socket) -> None:
    """Fork once more and tell how that process ends; returns in it."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    order, files, _, _ = socket.recv_fds(line, _LARGEST_ORDER, 3)
    pid = os.fork()
    if pid:
        line.send(str(pid).encode())
        line.send(str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])).encode())
        os._exit(0)
    line.close()
    _become(json.loads(order), files)


def _become(order: dict[str, Any], files: list[int]) -> None:
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(order["env"])
    os.chdir(order["cwd"])
    sys.argv = ["agentbus", *order["arguments"]]
    sys.modules["__main__"].__package__ = None  # so that its usage names it as its script does


if __name__ == "__main__":
    _import_commands()
    gc.freeze()
    _forks(socket.socket(fileno=int(sys.argv[1])))
    from agents.cli.app import main

    main()
