"""Secrets in what a change adds. A proposal is kept for ever and read by many: one with a secret is refused.

Found are what its form gives away (`schemas.secret_forms`: keys, tokens, passwords in addresses), and random-looking
text under a name that says it is a secret. Not guaranteed: passwords that are words, and secrets that somebody
disguised.

Source: detect-secrets for the idea of entropy under a telling name.
"""

from __future__ import annotations

import math
import re
from collections import Counter

from approvals.change.added import Line, added_lines
from approvals.change.kinds import Contents
from schemas.secret_forms import FORMS
from schemas.text import harmless

_ASSIGNED = re.compile(
    r"(?P<name>(?:api_?-?key|secret|token|passw(?:or)?d|private_?-?key|credential|auth(?:orization)?)[\w-]{0,40})"
    r"[\"']?\]?\s{0,8}(?::\s{0,8}\w{1,40}\s{0,8})?[=:]\s{0,8}[bru]?"
    r"(?P<quote>[\"']?)(?P<value>[A-Za-z0-9+/=_.~-]{16,512})(?P=quote)",
    re.IGNORECASE,
)
_REFERENCE = re.compile(r"(env|file|credential):")
_HEXADECIMAL = re.compile(r"[0-9a-fA-F]+")
_SHORTEST_HEX, _LEAST_HEX_BITS, _LEAST_BITS = 32, 3.0, 3.6


def secret_in(before: Contents, after: Contents) -> str:
    """Which added line seems to hold a secret, one sentence that does not repeat it; empty when none does."""
    for line in added_lines(before, after):
        if what := _secret(line):
            return (
                f"{harmless(line.path)} line {line.number} seems to hold {what}; keep it outside and refer to it "
                "(env:NAME, file:PATH, credential:NAME)"
            )
    return ""


def _secret(line: Line) -> str:
    for what, form in FORMS:
        if form.search(line.text):
            return what
    for match in _ASSIGNED.finditer(line.text):
        is_told_apart = bool(match["quote"]) or line.path.endswith((".yaml", ".yml", ".toml", ".ini", ".env", ".txt"))
        if is_told_apart and _is_random(match["value"]):
            return f"the value of {match['name']}"
    return ""


def _is_random(value: str) -> bool:
    """Whether it looks like a key rather than like words, a path, a version or a reference."""
    if _REFERENCE.match(value) or not re.search(r"\d", value) or not re.search(r"[A-Za-z]", value):
        return False
    if _HEXADECIMAL.fullmatch(value):
        return len(value) >= _SHORTEST_HEX and _bits(value) >= _LEAST_HEX_BITS
    words = re.split(r"[-_./]", value)
    return _bits(value) >= _LEAST_BITS and any(_mixes(word) for word in words)


def _mixes(word: str) -> bool:
    """A part in which letters and digits change places as in no name that a person gives."""
    return len(re.findall(r"\d+|[A-Z]+|[a-z]+", word)) >= 5


def _bits(text: str) -> float:
    """Shannon entropy of its characters, in bits for each."""
    counts = Counter(text).values()
    return -sum(count / len(text) * math.log2(count / len(text)) for count in counts)
