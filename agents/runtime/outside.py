"""What takes the place of the world outside of the process, in the trials of authors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from agents.llm import Provider
    from bus.sessions import SessionStore


@dataclass(frozen=True, slots=True)
class Outside:
    """Nothing, unless it is given."""

    provider: Provider | None = None
    """Answers instead of the models that the file names."""
    sessions: SessionStore | None = None


NOTHING: Final = Outside()
