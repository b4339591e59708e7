"""What a run has begun, on the disk of who runs it: each try of a step before it is left, and its task when that is known.

One file a run, a line of JSON each, written through to the disk before anything is done that costs. It holds the
run's input, so only its owner may read it; answers are not in it, they are read from the tasks again.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Self

import msgspec

from agents.pipeline.errors import RunTaken, RunUnlike


class Begun(msgspec.Struct, frozen=True, kw_only=True, tag_field="line", tag="begun"):
    """The first line: what the run is of."""

    pipeline: str
    digest: str
    """Of the pipeline's file."""
    input: str
    budget_usd: str = ""


class Try(msgspec.Struct, frozen=True, kw_only=True, tag_field="line", tag="try"):
    """One try of one step in one round. Without `task` it was about to be left."""

    step: str
    round: int
    number: int
    task: str = ""
    at_s: float = 0.0


_Line = Begun | Try
_DECODER = msgspec.json.Decoder(_Line)


class Journal:
    """The open file of one run; `begun` is its first line. Make it with `opened`."""

    def __init__(self, file: BinaryIO, begun: Begun, tries: dict[tuple[str, int], list[Try]]) -> None:
        self._file = file
        self.begun = begun
        self._tries = tries

    @classmethod
    @contextmanager
    def opened(cls, path: Path, begun: Begun | None) -> Iterator[Self]:
        """The journal at `path`; a new one with `begun`, an old one where that is None or the same.

        Raises:
            RunTaken: another process has it open. RunUnlike: there is none, or it is of another file or input.
        """
        if begun is None and not path.is_file():
            raise RunUnlike(f"there is no run {path.stem}; begin one without --resume")
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "r+b", buffering=0) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RunTaken(f"run {path.stem} is being done by another process") from None
            content = file.read()
            whole = content[: content.rfind(b"\n") + 1]
            file.truncate(len(whole))  # a process that was killed while it wrote left half a line, and did nothing
            first, tries = _read(whole, path)
            if first is None:
                if begun is None:
                    raise RunUnlike(f"run {path.stem} was never begun; begin one without --resume")
                _append(file, begun)
            elif begun is not None and begun != first:
                raise RunUnlike(
                    f"run {path.stem} was begun with another file, input or budget; leave --run away for a new one"
                )
            yield cls(file, first or begun or Begun(pipeline="", digest="", input=""), tries)

    def last(self, step: str, round_: int) -> Try | None:
        """The last try of a step in a round."""
        return next(reversed(self._tries.get((step, round_), [])), None)

    def all(self) -> list[Try]:
        """Every try that has a task, in the order in which they were left."""
        return [one for tries in self._tries.values() for one in tries if one.task]

    def about_to(self, step: str, round_: int, number: int) -> Try:
        """Write down that a step is about to be left."""
        return self._add(Try(step=step, round=round_, number=number, at_s=time.time()))

    def left(self, tried: Try, task: str) -> Try:
        """Write down its task."""
        return self._add(msgspec.structs.replace(tried, task=task))

    def _add(self, line: Try) -> Try:
        _append(self._file, line)
        _take(self._tries, line)
        return line


def _take(tries: dict[tuple[str, int], list[Try]], line: Try) -> None:
    known = tries.setdefault((line.step, line.round), [])
    if known and known[-1].number == line.number:
        known[-1] = line
    else:
        known.append(line)


def _append(file: BinaryIO, line: _Line) -> None:
    file.write(msgspec.json.encode(line) + b"\n")
    os.fsync(file.fileno())


def _read(content: bytes, path: Path) -> tuple[Begun | None, dict[tuple[str, int], list[Try]]]:
    first: Begun | None = None
    tries: dict[tuple[str, int], list[Try]] = {}
    for text in content.splitlines():
        try:
            line = _DECODER.decode(text)
        except msgspec.MsgspecError:
            raise RunUnlike(f"{path} cannot be read; begin a new run") from None
        if isinstance(line, Begun):
            first = first or line
        else:
            _take(tries, line)
    return first, tries
