"""`python -m agents.cli.forking LINE`: the process that forks for `agents.supervisor.nursery`; nobody else starts it.

It imports what the processes of a fleet are made of and waits at the socket LINE. For each word that comes it forks, and
for each end of a child it tells the code. Two open files come with a word: where the new process reads what it is to
be, and its log. This process reads nothing of the first, so no process of the fleet has the keys of another.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
from pathlib import Path

import typer

from agents.cli.run import guarded
from bus.server import end_with_parent

_WORD_BYTES = 64
_IMPORTED = (
    "uvloop", "agents.cli.journal", "agents.cli.serve_commands", "agents.processes.approvers",
    "agents.processes.sealing", "agents.runtime.answering.model_agent", "agents.runtime.worker",
)  # fmt: skip
"""What the processes of a fleet import. The clients of models, which few need, are not among them."""


def main() -> None:
    """Import, fork, and in a child run its command."""
    for module in _IMPORTED:
        importlib.import_module(module)
    from agents.cli.app import app

    command = typer.main.get_command(app)
    gc.freeze()  # the collector would write to every page that is shared
    _become(*_forks(socket.socket(fileno=int(sys.argv[1]))))
    command()


def _forks(line: socket.socket) -> tuple[int, int]:
    """Fork until the line ends. Returns in a child, with its two files."""
    ended, waker = socket.socketpair()
    waker.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waker.fileno())
    while True:
        ready, _, _ = select.select([line, ended], [], [])
        if ended in ready:
            ended.recv(_WORD_BYTES)
            _tell(line)
        if line in ready:
            word, files, _, _ = socket.recv_fds(line, _WORD_BYTES, 2)
            if not word:
                os._exit(0)
            pid = os.fork()
            if not pid:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                for inherited in (line, ended, waker):
                    inherited.close()
                return files[0], files[1]
            line.send(str(pid).encode())
            for file in files:
                os.close(file)


def _tell(line: socket.socket) -> None:
    """Tell of every child that has ended."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        line.send(f"{pid} {os.waitstatus_to_exitcode(status)}".encode())


def _become(words: int, log: int) -> None:
    """Be the process that one was forked for."""
    os.setsid()
    end_with_parent()
    for stream in (1, 2):
        os.dup2(log, stream)
    os.close(log)
    with os.fdopen(words, "rb") as file:
        said = file.read()
    if not said:  # whoever wanted it does not any more
        os._exit(0)
    order = json.loads(said)
    os.environ.clear()
    os.environ.update(order["environment"])
    with contextlib.suppress(OSError):  # for who looks at processes; nothing depends on it
        Path("/proc/self/comm").write_text(order["name"])
    sys.argv = ["agentbus", *order["arguments"]]


if __name__ == "__main__":
    guarded(main)
