"""Values that must never be written anywhere, and how texts lose them.

    REGISTERED.add(key)              # whoever reads a secret from where it is kept says so
    REGISTERED.redacted(texts)       # the trail and the logs let every text pass here

Guarantees: a registered value is found as it stands, in base64 (at any offset), in hexadecimal, percent-encoded, and
in pieces over texts that follow each other. Not guaranteed: other encodings, and values of fewer than `SHORTEST`
characters, which could not be told from ordinary text.

The spellings are plain in memory, and no keyed fingerprints of them. Fingerprints would have to be compared with every
window of every text, for each length that a spelling has: an event would cost milliseconds in place of microseconds.
They would hide nothing either: the process has the value anyway to use it, and the fingerprints' key lies beside them,
so who reads this memory has both. Nothing of them is ever written to a disk, where fingerprints would matter.
"""

from __future__ import annotations

import base64
import itertools
import re
import urllib.parse
from collections.abc import Iterator, Sequence
from typing import Final

SHORTEST: Final = 8
REDACTED: Final = "[redacted]"


class Secrets:
    """Registered values. They stay in memory, where whoever uses them has them anyway."""

    def __init__(self) -> None:
        self._spellings: tuple[str, ...] = ()

    def add(self, value: str) -> None:
        """Have `value` found from now on."""
        if len(value) >= SHORTEST:
            self._spellings = tuple(dict.fromkeys((*self._spellings, *_spellings(value))))

    def are_in(self, text: str) -> bool:
        """Whether a registered value is in `text`, which may be several texts joined. Costs next to nothing."""
        for spelling in self._spellings:  # noqa: SIM110  any() would cost more than the search
            if spelling in text:
                return True
        return False

    def redacted(self, texts: Sequence[str]) -> Sequence[str]:
        """The same texts without registered values; `texts` itself when they hold none.

        A text that holds a whole value loses that; texts over which one is spread lose everything.
        """
        if not self.are_in("".join(texts)):
            return texts
        without = [self._without(text) for text in texts]
        for begin, end in self._spread("".join(without)):
            without = _blanked(without, begin, end)
        return without

    def _without(self, text: str) -> str:
        for spelling in self._spellings:
            text = text.replace(spelling, REDACTED)
        return text

    def _spread(self, joined: str) -> Iterator[tuple[int, int]]:
        """Where values stand over the edges of texts; found from the end, so that places stay right."""
        places = [
            (match.start(), match.end())
            for spelling in self._spellings
            for match in re.finditer(re.escape(spelling), joined)
        ]
        yield from sorted(places, reverse=True)


REGISTERED: Final = Secrets()
"""Those of this process."""


def _spellings(value: str) -> list[str]:
    data = value.encode()
    found = [value, urllib.parse.quote(value, safe=""), data.hex(), data.hex().upper()]
    for offset in range(3):
        # three bytes are four characters: at the ends stand characters that other bytes have a part in
        encoded = base64.b64encode(b"\0" * offset + data).decode().rstrip("=")
        core = encoded[-(-offset * 8 // 6) : len(encoded) - bool((offset + len(data)) % 3)]
        found += [core, core.translate(_URL_SAFE)]
    return [spelling for spelling in found if len(spelling) >= SHORTEST]


_URL_SAFE = str.maketrans("+/", "-_")


def _blanked(texts: list[str], begin: int, end: int) -> list[str]:
    """The texts that reach into this part of their whole, replaced."""
    starts = itertools.accumulate((len(text) for text in texts), initial=0)
    return [
        REDACTED if text and start < end and start + len(text) > begin else text
        for text, start in zip(texts, starts, strict=False)
    ]
