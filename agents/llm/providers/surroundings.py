"""What the official clients would take from their environment without being told to."""

from __future__ import annotations

import os
from typing import Any, Final

from agents.llm.secrets import Secret

_KEYS: Final[dict[str, str]] = {"authorization": "Bearer {key}", "api-key": "{key}"}
"""Headers that the clients send the key in."""


def without_headers_of(variable: str, omit: Any, key: Secret | None) -> dict[str, Any]:
    """Headers in place of those that the environment variable names, a `name: value` in each of its lines.

    Each is left out; one that carries the key carries ours, since the clients tell spellings of a name apart.
    """
    lines = os.environ.get(variable, "").split("\n")
    names = [name.strip() for name, colon, _ in (line.partition(":") for line in lines) if colon]
    return {name: _ours(name, key) or omit for name in names}


def _ours(name: str, key: Secret | None) -> str | None:
    form = _KEYS.get(name.lower())
    return form.format(key=key.reveal()) if form and key else None
