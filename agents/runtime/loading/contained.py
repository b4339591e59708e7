"""Runs a function that may do anything in a process of its own; who asked for it stays out of its reach.

The child has its own session, no input, one pipe for what it prints and one for its answer. Whatever ends it, and
whatever it leaves behind, the caller gets an `Ended`. Not guaranteed: that an answer is honest. It is made in one
process with the code that it is about.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import selectors
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

MAX_OUTPUT_BYTES = 1 << 20
MAX_ANSWER_BYTES = 64 * 1024
_KEPT_OUTPUT_BYTES = 8 * 1024
_CLEANING_S = 2.0
_PR_SET_DUMPABLE, _PR_SET_CHILD_SUBREAPER = 4, 36


@dataclass(slots=True)
class Ended:
    """How it ended: `status` is the exit status, negative for a signal; `problem` says why it was ended, if it was."""

    answer: bytes = b""
    status: int = 0
    problem: str = ""
    printed: bytes = b""
    _count: int = field(default=0, repr=False)

    def take_output(self, piece: bytes) -> None:
        """Keep the end of what is printed."""
        self._count += len(piece)
        self.printed = (self.printed + piece)[-_KEPT_OUTPUT_BYTES:]
        if self._count > MAX_OUTPUT_BYTES:
            self.problem = f"printed more than {MAX_OUTPUT_BYTES >> 20} MiB"

    def take_answer(self, piece: bytes) -> None:
        """Keep the answer."""
        self.answer += piece
        if len(self.answer) > MAX_ANSWER_BYTES:
            self.problem = "gave too long an answer"


def guard_this_process() -> None:
    """Keep children from reading or changing this process, and have orphans come to it, so that it can end them.

    Source: prctl(2) PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER; ptrace(2) on access modes.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
        libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def contained(work: Callable[[], bytes], until: float) -> Ended:
    """Call `work` in a child and return what became of it, at the latest at `until` on the monotonic clock.

    What it started has ended too, unless it forks faster than it can be killed.
    """
    answers, answer = os.pipe()
    prints, output = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        _be_child(work, answer, output)
    os.close(answer)
    os.close(output)
    ended = Ended()
    try:
        _watch(ended, pid, {answers: ended.take_answer, prints: ended.take_output}, until)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        ended.status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        _end_orphans(time.monotonic() + _CLEANING_S)
        os.close(answers)
        os.close(prints)
    return ended


def _be_child(work: Callable[[], bytes], answer: int, output: int) -> NoReturn:
    status = 1
    try:
        os.setsid()
        answer = _only(answer, output)
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)
        said = work()
        sys.stdout.flush()  # nothing else does: the process ends without Python's own end
        sys.stderr.flush()
        while said:
            said = said[os.write(answer, said) :]
        status = 0
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        os._exit(status)


def _only(answer: int, output: int) -> int:
    """Close every file but the two; returns where the answer goes now."""
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    kept = os.dup(answer)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.dup2(kept, 3)
    os.closerange(4, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    os.set_inheritable(3, False)
    return 3


def _watch(ended: Ended, pid: int, takers: dict[int, Callable[[bytes], None]], until: float) -> None:
    """Take what it says until it has ended, says too much, or the time is up."""
    with selectors.DefaultSelector() as selector:
        end = os.pidfd_open(pid)
        selector.register(end, selectors.EVENT_READ)
        for descriptor in takers:
            selector.register(descriptor, selectors.EVENT_READ)
        has_ended = False
        while not ended.problem:
            ready = [key.fd for key, _ in selector.select(0 if has_ended else max(0, until - time.monotonic()))]
            if not ready:
                if not has_ended:
                    ended.problem = "did not end in time"
                break
            if end in ready:
                has_ended = True
                selector.unregister(end)
                os.close(end)
                ready.remove(end)
            for descriptor in ready:
                _take(selector, descriptor, takers[descriptor])
        if not has_ended:
            os.close(end)


def _take(selector: selectors.BaseSelector, descriptor: int, take: Callable[[bytes], None]) -> None:
    piece = os.read(descriptor, 1 << 16)
    if piece:
        take(piece)
    else:
        selector.unregister(descriptor)


def _end_orphans(until: float) -> None:
    """Kill what came to this process when its parent ended, and what comes then, until there is nothing left."""
    while (orphans := _children()) and time.monotonic() < until:
        for pid in orphans:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid in orphans:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)


def _children() -> list[int]:
    """The processes whose parent this one is. Source: proc(5), /proc/pid/task/tid/children."""
    try:
        return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]
    except OSError:
        return []
