"""What a command prints: its beginning and its end, whatever comes between."""

from __future__ import annotations

from collections import deque


class Output:
    """Keeps at most `limit` bytes; what is beyond them in the middle is counted, not kept."""

    def __init__(self, limit: int) -> None:
        self._half = limit // 2
        self._head = bytearray()
        self._tail: deque[bytes] = deque()
        self._tail_size = 0
        self.size = 0

    def add(self, piece: bytes) -> None:
        """The next piece, as it came."""
        self.size += len(piece)
        room = self._half - len(self._head)
        self._head += piece[:room]
        rest = piece[room:] if room > 0 else piece
        if rest:
            self._tail.append(rest)
            self._tail_size += len(rest)
        while self._tail_size - len(self._tail[0] if self._tail else b"") >= self._half and self._tail:
            self._tail_size -= len(self._tail.popleft())

    def text(self) -> str:
        """What is kept, with a word about what is not."""
        tail = b"".join(self._tail)[-self._half :] if self._tail else b""
        left_out = self.size - len(self._head) - len(tail)
        between = f"\n[{left_out} bytes left out]\n" if left_out else ""
        return f"{self._head.decode(errors='replace')}{between}{tail.decode(errors='replace')}"
