"""The ways to read a text that somebody has disguised: as it stands, and each disguise undone. Pure.

Every view is lower case. A disguise that is not there gives no view, so ordinary text is read once or twice.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import re
import unicodedata
import urllib.parse
from collections.abc import Callable, Iterator
from typing import Final

MOST_CHARS: Final = 20_000
"""Of a longer text the beginning and the end are looked at, half as many each."""
_UNSEEN = re.compile("[\u00ad\u034f\u115f\u1160\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]")
_LOOKALIKES = str.maketrans("асеорхуіјѕһԁԛԝΑΒΕΖΗΙΚΜΝΟΡΤΥΧαονρτυχ", "aceopxyijshdqwabezhikmnoptyxaovptux")
_MIXED = re.compile(r"[a-z][\u0370-\u052f]|[\u0370-\u052f][a-z]", re.IGNORECASE)
_SPACED = re.compile(r"(?<!\w)\w([ .\-_*|/])\w(?:\1\w){1,200}(?!\w)")
_JOINED = re.compile(r"(?<![a-z])[a-z]{2,40}(?:[_-][a-z]{2,40}){2}")
_DIGITS_AS_LETTERS = str.maketrans("013457@$", "oieastas")
_LEET = re.compile(r"\b(?=\w*[a-z])(?=\w*[013457])\w{4,}\b")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{16,4096}={0,2}")
_HEX = re.compile(r"\b(?:[0-9a-fA-F]{2}){6,2048}\b")
_PERCENT = re.compile(r"(?:%[0-9A-Fa-f]{2}){4}")
_SPACE = re.compile(r"[^\S\n]+")


def views(text: str) -> Iterator[tuple[str, bool]]:
    """Each reading of the text, and whether a disguise had to be undone for it."""
    text = _bounded(text)
    plain = unicodedata.normalize("NFKC", text)
    yield _folded(plain), plain != text and plain.isascii()
    for undo in _DISGUISES:
        found = undo(plain)
        if found:
            yield _folded(found), True


def _bounded(text: str) -> str:
    half = MOST_CHARS // 2
    return text if len(text) <= MOST_CHARS else f"{text[:half]}\n{text[-half:]}"


def _folded(text: str) -> str:
    return _SPACE.sub(" ", text).replace("\u2019", "'").casefold()


def _seen(text: str) -> str:
    """Without characters that nobody sees, and with spaces where they stood between words."""
    if not _UNSEEN.search(text):
        return ""
    without = _UNSEEN.sub("", text)
    return f"{without}\n{_UNSEEN.sub(' ', text)}\n{without[::-1]}"


def _latin(text: str) -> str:
    return text.translate(_LOOKALIKES) if _MIXED.search(text) else ""


def _closed(text: str) -> str:
    """`i g n o r e` as one word: two spaces, or another separator, stand between words."""
    if not _SPACED.search(text):
        return ""
    return _SPACED.sub(lambda spread: spread[0].replace(spread[1], ""), text)


def _parted(text: str) -> str:
    """`ignore_all_rules` as three words."""
    lower = text.casefold()
    return re.sub(r"[_-]", " ", lower) if _JOINED.search(lower) else ""


def _lettered(text: str) -> str:
    lower = text.casefold()
    return lower.translate(_DIGITS_AS_LETTERS) if _LEET.search(lower) else ""


def _unpercented(text: str) -> str:
    return urllib.parse.unquote(text, errors="ignore") if _PERCENT.search(text) else ""


def _decoded(text: str) -> str:
    return "\n".join(filter(None, (*map(_of_base64, _BASE64.findall(text)), *map(_of_hex, _HEX.findall(text)))))


def _of_base64(run: str) -> str:
    core = run.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return _readable(base64.b64decode(core + "=" * (-len(core) % 4)))
    except binascii.Error:
        return ""


def _of_hex(run: str) -> str:
    return _readable(bytes.fromhex(run))


def _readable(data: bytes) -> str:
    text = data.decode("utf-8", "ignore")
    return text if len(text) == len(data) and text.isprintable() else ""


def _turned(text: str) -> str:
    """Where the text speaks of it, or holds words that are common backwards: from its end to its begin."""
    return text[::-1] if re.search(r"(?i)backwards|reverse|snoitcurtsni|\berongi\b|tpmorp", text) else ""


def _rotated(text: str) -> str:
    return codecs.encode(text, "rot13") if re.search(r"(?i)rot-?13|vtaber|vafgehpgvba", text) else ""


_DISGUISES: Final[tuple[Callable[[str], str], ...]] = (
    _seen, _latin, _closed, _parted, _lettered, _unpercented, _decoded, _turned, _rotated,
)  # fmt: skip
