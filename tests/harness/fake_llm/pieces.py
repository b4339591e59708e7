"""An answer's text and arguments in the pieces that a stream brings."""

from __future__ import annotations

import json
import re
from typing import Any

_WORD = re.compile(r"\S+\s*|\s+")
_ARGUMENT_CHARS = 5


def words(text: str) -> list[str]:
    """The text, word by word."""
    return _WORD.findall(text)


def arguments(given: dict[str, Any] | str) -> str:
    """A call's arguments as the text that a model writes."""
    return given if isinstance(given, str) else json.dumps(given)


def argument_pieces(given: dict[str, Any] | str) -> list[str]:
    """Pieces that end anywhere, in the middle of a number too."""
    text = arguments(given)
    return [text[start : start + _ARGUMENT_CHARS] for start in range(0, len(text), _ARGUMENT_CHARS)]
