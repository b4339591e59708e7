"""What tools without effects found a short while ago, for the same call of the same caller in the same conversation.

A call that is answered from here is judged as any other is, and told (`tool.finished` with `cached`); since nothing is
called, nothing that stands around what is called has a part in it. Kept is what a tool said, before it is fenced: each
run of a conversation has fences of its own. Failures are not kept. No I/O; the clock is given.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple

from agents.context import Context
from agents.tools.row import Row
from schemas.canonical import canonical
from schemas.ids import sha256_hex

from .steps import ToolStep

MOST_ENTRIES: Final = 1_000
MOST_BYTES: Final = 16 << 20


class _Key(NamedTuple):
    caller: str
    conversation: str
    tool: str
    arguments: str
    """The digest of their canonical form, defaults included."""


class _Entry(NamedTuple):
    row: Row
    """A tool whose definition has changed is another one, whatever its name."""
    text: str
    size: int
    until_s: float


class ResultCache:
    """One for an agent's process, bounded in both; what was asked for longest ago goes first."""

    def __init__(
        self, now: Callable[[], float] = time.monotonic, most_entries: int = MOST_ENTRIES, most_bytes: int = MOST_BYTES
    ) -> None:
        self._now = now
        self._most_entries, self._most_bytes = most_entries, most_bytes
        self._entries: OrderedDict[_Key, _Entry] = OrderedDict()
        self._bytes = 0
        self._effects = 0
        self._changed: OrderedDict[tuple[str, str], int] = OrderedDict()
        """The number of the last effect in each conversation; only what is under way now is compared with it."""

    def found(self, step: ToolStep) -> str | None:
        """What the tool said to this call; None where it has to be asked."""
        key = _key_of(step)
        entry = self._entries.get(key) if key else None
        if key is None or entry is None:
            return None
        if entry.row is not step.row or self._now() >= entry.until_s:
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return entry.text

    def asked(self) -> int:
        """The number of effects so far, to be noted before a tool is asked and given to `keep`."""
        return self._effects

    def keep(self, step: ToolStep, text: str, asked: int) -> None:
        """Keep what the tool said, where its row says for how long, and no effect came between the question and that."""
        key, size = _key_of(step), len(text.encode(errors="replace"))
        if key is None or step.row.cache_s is None or size > self._most_bytes:
            return
        if self._changed.get(key[:2], 0) > asked:
            return
        if key in self._entries:
            self._drop(key)
        self._entries[key] = _Entry(step.row, text, size, self._now() + step.row.cache_s)
        self._bytes += size
        while len(self._entries) > self._most_entries or self._bytes > self._most_bytes:
            self._drop(next(iter(self._entries)))

    def forget(self, context: Context) -> None:
        """Something with effects has run, or tried to: what was found in this conversation may be untrue by now."""
        where = (context.caller, context.context_id)
        for key in [key for key in self._entries if key[:2] == where]:
            self._drop(key)
        self._effects += 1
        self._changed[where] = self._effects
        self._changed.move_to_end(where)
        if len(self._changed) > self._most_entries:
            self._changed.popitem(last=False)

    def _drop(self, key: _Key) -> None:
        self._bytes -= self._entries.pop(key).size


def _key_of(step: ToolStep) -> _Key | None:
    """None for a call that is not kept: of a tool that has no such setting, or in no conversation that could go on."""
    context, row = step.context, step.row
    if row.cache_s is None or not context.context_id:
        return None
    try:
        arguments = sha256_hex(canonical(row.tool.form.plain(step.arguments)))
    except ValueError:
        return None
    return _Key(context.caller, context.context_id, row.name, arguments)
