"""What a provider is: the seam between the pool and one vendor's protocol."""

from __future__ import annotations

from typing import Protocol

import msgspec

from .conversation import Answer, Completion
from .secrets import Secret


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """One model choice with its key resolved. No `api_key`: the request goes out without one."""

    model: str
    max_tokens: int
    api_key: Secret | None = None
    base_url: str | None = None

    def max_tokens_of(self, completion: Completion) -> int:
        """The smaller of the choice's limit and the completion's."""
        return min(self.max_tokens, completion.max_tokens or self.max_tokens)


class Provider(Protocol):
    """One model at one vendor. Nothing is tried again here: the pool alone decides that."""

    async def complete(self, completion: Completion) -> Answer:
        """Ask the model once; ends within `completion.timeout_s`. Cancelling it closes the HTTP request.

        Raises:
            LlmError: of the class that says why.
        """
        ...

    async def close(self) -> None:
        """Close the connections. Calls that still run fail."""
        ...
