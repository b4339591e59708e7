"""Text from others, made safe to show: what a terminal would act on or a person could not see is spelt out."""

from __future__ import annotations

import re
import unicodedata

_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)  # invisible although Unicode calls them letters, marks or symbols


def harmless(text: str, *, keep: str = "") -> str:
    r"""`text` with every control, bidirectional, zero-width, unassigned and invisible character as `\x1b` or `\u202e`.

    Characters of `keep` stay (`"\n\t"` for text of many lines). Spaces of other scripts stay too.
    Not guaranteed: that two texts look different when they are (letters of two scripts may look the
    same, and a backslash in `text` stays as it is).

    Source: Unicode UAX #44 general categories and Default_Ignorable_Code_Point.
    """
    if text.isprintable() and not _UNSEEN.search(text):
        return text
    return "".join(char if char in keep or _is_plain(char) else _escaped(char) for char in text)


def harmless_name(text: str) -> str:
    r"""`harmless`, and every space but the plain one spelt out too: in a name, `\xa0` passes for a space and is none."""
    return "".join(char if char.isprintable() else _escaped(char) for char in harmless(text))


def _is_plain(char: str) -> bool:
    if char.isprintable():
        return not _UNSEEN.match(char)
    return unicodedata.category(char) == "Zs"


def _escaped(char: str) -> str:
    number = ord(char)
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
