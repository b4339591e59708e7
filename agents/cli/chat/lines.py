"""Lines of standard input as they are typed, without a thread that waits for them: it would hold up the end."""

from __future__ import annotations

import asyncio
import codecs
import os
import stat
from types import TracebackType
from typing import Final, Self

_CHUNK: Final = 65_536
LONGEST_LINE: Final = 1_000_000
"""Characters; a longer one comes in pieces."""


class Lines:
    """Use it as a context. The terminal itself edits the line that is typed; Ctrl-D at its beginning is the end."""

    def __init__(self, descriptor: int = 0) -> None:
        self._descriptor = descriptor
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""
        self._arrived: asyncio.Queue[str | None] = asyncio.Queue()
        self._is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
        """A file is always ready, and cannot be waited for."""

    def __enter__(self) -> Self:
        if not self._is_file:
            try:
                asyncio.get_running_loop().add_reader(self._descriptor, self._read)
            except OSError:  # a device that is always ready, such as /dev/null
                self._is_file = True
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if not self._is_file:
            asyncio.get_running_loop().remove_reader(self._descriptor)

    async def next(self) -> str | None:
        """The next line without its end; None when there are no more."""
        while self._is_file and self._arrived.empty():
            self._read()
        line = await self._arrived.get()
        if line is None:
            self._arrived.put_nowait(None)
        return line

    def _read(self) -> None:
        try:
            data = os.read(self._descriptor, _CHUNK)
        except OSError:  # the terminal is gone
            data = b""
        text = self._rest + self._decoder.decode(data, final=not data)
        *whole, self._rest = text.split("\n")
        if len(self._rest) > LONGEST_LINE or (not data and self._rest):
            whole.append(self._rest)
            self._rest = ""
        for line in whole:
            self._arrived.put_nowait(line.removesuffix("\r"))
        if not data:
            self._arrived.put_nowait(None)
            if not self._is_file:
                asyncio.get_running_loop().remove_reader(self._descriptor)
