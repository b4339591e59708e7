"""Server-sent events, as far as models' answers need them: the data of each event. No I/O.

Lines are split here, at LF, CR LF and nothing else: text that a model writes may hold any other
character that some libraries take for the end of a line.

Source: HTML Living Standard, 9.2.6 Interpreting an event stream.
"""

from __future__ import annotations

from typing import Final

_DATA: Final = b"data"


class EventDecoder:
    """Takes bytes as they come from the network, gives the data of the events that they complete.

    An event that the body's end cuts off is not given. Names, ids and comments are passed over: each
    wire format repeats in the data what it needs of them.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []

    def feed(self, received: bytes) -> list[bytes]:
        """The events that are whole now."""
        *lines, self._rest = (self._rest + received).split(b"\n")
        events: list[bytes] = []
        for line in lines:
            field = line.removesuffix(b"\r")
            if field:
                self._add(field)
            elif self._data:
                events.append(b"\n".join(self._data))
                self._data = []
        return events

    def _add(self, field: bytes) -> None:
        name, _, value = field.partition(b":")
        if name == _DATA:
            self._data.append(value.removeprefix(b" "))
