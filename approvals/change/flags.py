"""Hints for reviewers, derived from the lines that a change adds. They decide nothing; a secret does (`leaks`).

    flags_of(before, after)   ("handler.py starts programs (line 12: subprocess)", …)

Not guaranteed: that what has no flag is harmless. Code can hide what it does.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial

from approvals.change.added import Line, added_lines
from approvals.change.kinds import Contents
from schemas.text import harmless, harmless_name

_CALLS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("starts programs", re.compile(r"\b(subprocess|os\.(system|popen|exec\w+|spawn\w+|posix_spawn\w*|fork\w*)|pty)\b")),
    (
        "speaks to the network",
        re.compile(
            r"\b(socket|asyncio\.(open_connection|start_server|open_unix_connection)|http\.client|urllib\.request|"
            r"httpx|requests|aiohttp|websockets|smtplib|ftplib|paramiko|nats)\b(?!\s*[=:])"
        ),
    ),
    (
        "runs code that is made or found while it runs",
        re.compile(r"(?<![\w.])(eval|exec|compile|__import__)(?=\s*\()|\b(importlib|runpy|pickle|marshal)\b"),
    ),
    ("calls native code or the kernel", re.compile(r"\b(ctypes|cffi|mmap|fcntl)\b")),
    (
        "deletes or moves files",
        re.compile(r"\b(os\.(remove|unlink|rmdir|removedirs|rename|replace|truncate)|shutil\.(rmtree|move)|\w+\.unlink)\b"),
    ),
    ("reads its environment", re.compile(r"\bos\.(environ|getenv)\b|/proc/")),
    ("reaches into Python itself", re.compile(r"__(builtins|globals|subclasses|code|mro)__|\bsys\.(modules|settrace)\b")),
)  # fmt: skip
"""What an added line of Python is told for. Words, not a proof: a comment that names one is told too."""
_LOOK_ALIKES = frozenset(
    "\u0405\u0406\u0408\u0410\u0412\u0415\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0423\u0425\u0430"  # Cyrillic
    "\u0435\u043e\u0440\u0441\u0443\u0445\u0455\u0456\u0458\u04bb\u04cf\u0501\u050c\u051b\u051c\u051d"
    "\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7\u03b1\u03b3"  # Greek
    "\u03b9\u03ba\u03bd\u03bf\u03c1\u03c4\u03c5\u03f2\u03f3"
    "\u053c\u054f\u0555\u0566\u0570\u0578\u057d\u0581\u0585"  # Armenian
    "\u13aa\u13ac\u13b3\u13b7\u13c0\u13d4\u13de\u13e2\u13f4"  # Cherokee
    "\u0131\u0251\u0261\u0269\u028f\ua4d0\ua4d1\ua4d3\ua4d6\ua4d7\ua4d9\ua4da\ua4dd"  # Latin that is not ASCII, Lisu
)  # fmt: skip
"""Letters that look like ASCII ones. Source: Unicode UTS #39, confusables.txt, those that fonts show alike."""
_WORD = re.compile(r"\w+")
_TEXTS = re.compile(r"""([\"']).*?\1|#.*""")
"""What is not code on a line: strings that end on it, and comments."""
_NO_DIGITS = dict.fromkeys(map(ord, "0123456789_"))
_ASCII_LETTER = re.compile(r"[A-Za-z]")
_SHOWN = 3


def flags_of(before: Contents, after: Contents, executable: Collection[str] = ()) -> tuple[str, ...]:
    """One short, harmless sentence for each thing that a reviewer is to mind, by file.

    `before` and `after` hold the changed paths (None where there is no such file), `executable` those that become
    executable.
    """
    lines = list(added_lines(before, after))
    found = [
        *_about(lines, "has characters that cannot be seen, or change what is seen", _unseen),
        *_about(lines, "has words with letters that look like others", _look_alike),
    ]
    code = [line for line in lines if line.path.endswith(".py")]
    for sentence, pattern in _CALLS:
        found += _about(code, sentence, partial(_matched, pattern))
    found += [f"{harmless_name(path)} is made executable" for path in sorted(executable)]
    found += [f"{harmless_name(path)}, a test, is removed" for path in sorted(after) if _is_lost_test(path, after)]
    return tuple(sorted(found))


def _about(lines: Iterable[Line], sentence: str, what: Callable[[Line], str]) -> Iterator[str]:
    """A sentence for each file in which `what` finds something, with the places of the first few."""
    places: dict[str, list[str]] = {}
    for line in lines:
        if word := what(line):
            places.setdefault(line.path, []).append(f"line {line.number}: {harmless_name(word)[:40]}")
    for path, found in places.items():
        more = f", and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        yield f"{harmless_name(path)} {sentence} ({', '.join(found[:_SHOWN])}{more})"


def _unseen(line: Line) -> str:
    """The first such character, spelt out."""
    if harmless(line.text, keep="\t") == line.text:
        return ""
    return next((harmless(char) for char in line.text if char != "\t" and harmless(char) != char), "")


def _look_alike(line: Line) -> str:
    """The first word with letters of ASCII and look-alikes of such; in code also a name of look-alikes alone."""
    found = [word for word in _WORD.findall(line.text) if _is_mixed(word)]
    if line.path.endswith(".py"):
        found += [word for word in _WORD.findall(_TEXTS.sub("", line.text)) if _is_disguised(word)]
    return _spelt(found[0]) if found else ""


def _is_mixed(word: str) -> bool:
    return not word.isascii() and not _LOOK_ALIKES.isdisjoint(word) and _ASCII_LETTER.search(word) is not None


def _is_disguised(name: str) -> bool:
    """It looks like a name in ASCII, or is one to Python, which compares names in NFKC."""
    if name.isascii():
        return False
    return unicodedata.normalize("NFKC", name).isascii() or _LOOK_ALIKES.issuperset(name.translate(_NO_DIGITS))


def _spelt(word: str) -> str:
    """With every letter that is not ASCII as its number."""
    return word.encode("ascii", "backslashreplace").decode()


def _matched(pattern: re.Pattern[str], line: Line) -> str:
    match = pattern.search(line.text)
    return match[0] if match else ""


def _is_lost_test(path: str, after: Contents) -> bool:
    return after[path] is None and path.startswith("tests/")
