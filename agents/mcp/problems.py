"""Why a connection failed, in a few words for people and models: harmless, without secrets.

The SDK is not imported here, since there may be none; its errors are known by where they come from.
"""

from __future__ import annotations

from typing import Final

from schemas.errors import AgentbusError
from schemas.masking import masked_text
from schemas.redaction import REGISTERED
from schemas.text import harmless

_LONGEST: Final = 500
_PLAIN: Final = ("mcp.", "httpx2", "httpcore2")
"""Packages whose errors say what happened without what was said."""


def why(error: BaseException) -> str:
    """What a person is told of `error`; of a group, of its first one."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, AgentbusError):
        return str(error)
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    if isinstance(error, OSError | RuntimeError) or type(error).__module__.startswith(_PLAIN):
        return shown_safely(str(error)) or type(error).__name__
    return f"it broke the protocol ({type(error).__name__})"


def shown_safely(text: str) -> str:
    """A text of somebody else for a log or a person: one short harmless line, without secrets."""
    line = " ".join(text[: 2 * _LONGEST].split())
    return masked_text(harmless(REGISTERED.redacted([line])[0]))[:_LONGEST]
