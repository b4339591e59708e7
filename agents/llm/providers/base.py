"""What a provider is: the seam between the pool and one vendor's protocol."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol

import msgspec

from agents.llm.conversation import Completion
from agents.llm.deltas import Delta
from agents.llm.secrets import Secret


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """One model choice with its key resolved. No `api_key`: the request goes out without one."""

    model: str
    max_tokens: int
    provider: str = "openai"
    api_key: Secret | None = None
    base_url: str | None = None
    api_version: str | None = None
    sampling: dict[str, float] = {}
    """What is sent as it stands: `temperature`, `top_p`; only where the provider takes it."""

    def max_tokens_of(self, completion: Completion) -> int:
        """The smaller of the choice's limit and the completion's."""
        return min(self.max_tokens, completion.max_tokens or self.max_tokens)


class Provider(Protocol):
    """One model at one vendor. Nothing is tried again here: the pool alone decides that."""

    def stream(self, completion: Completion) -> AsyncGenerator[Delta]:
        """Ask the model once: pieces of text as they come, then exactly one `Finished`.

        Ends within `completion.timeout_s`. Closing the generator, or cancelling what waits for its next
        piece, closes the HTTP request.

        Raises:
            LlmError: of the class that says why; pieces that came before are no answer.
        """
        ...

    async def count(self, completion: Completion, /) -> int | None:
        """How many tokens the question has, by the provider's own count, free of charge; None: it does not say.

        Raises:
            LlmError: of the class that says why.
        """
        ...

    async def probe(self, timeout_s: float) -> None:
        """Look whether the provider answers at all, by what costs nothing.

        Raises:
            LlmError: it does not, or not to this key.
        """
        ...

    async def close(self) -> None:
        """Close the connections. Calls that still run fail."""
        ...
