"""OpenAI's Chat Completions, which many servers speak: OpenAI, Azure, OpenRouter, Ollama, vLLM and others.

Source: OpenAI API reference, Chat Completions; openai-python 3; each server's page on its compatibility.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, Final, NamedTuple

from agents.llm.conversation import Completion
from agents.llm.deltas import Delta
from agents.llm.errors import ExtraMissing

from .base import Settings
from .http import Call, answered, http_client, read_answer
from .openai_request import request_of
from .openai_stream import OpenAIReading
from .surroundings import without_headers_of


class Dialect(NamedTuple):
    """Where a vendor's server is, and what it calls the longest answer: OpenAI's newer models refuse `max_tokens`,
    most other servers know nothing else."""

    base_url: str | None
    limit: str = "max_tokens"


DIALECTS: Final[dict[str, Dialect]] = {
    "openai": Dialect("https://api.openai.com/v1", "max_completion_tokens"),
    "azure": Dialect(None, "max_completion_tokens"),
    "openrouter": Dialect("https://openrouter.ai/api/v1"),
    "ollama": Dialect("http://127.0.0.1:11434/v1"),
    "compatible": Dialect(None),
}
_AZURE_V1: Final = "/openai/v1"


class OpenAIProvider:
    """One model behind Chat Completions.

    Raises:
        ExtraMissing: the package `openai` is not installed.
    """

    def __init__(self, settings: Settings) -> None:
        try:
            import openai  # here, not above: it takes a second and 40 MB, which other providers need not pay
        except ImportError as error:
            raise ExtraMissing(
                f"provider {settings.provider}: cannot import {error.name or 'openai'};"
                " run: pip install 'agentbus[openai]'"
            ) from None
        self._sdk = openai
        self._settings = settings
        self._where = f"{settings.provider}/{settings.model}"
        dialect = DIALECTS[settings.provider]
        is_other = settings.provider == "openai" and settings.base_url
        self._limit = "max_tokens" if is_other else dialect.limit
        self._client = _client(openai, settings, settings.base_url or dialect.base_url)
        self._headers = None if settings.api_key else {"Authorization": openai.Omit()}

    def stream(self, completion: Completion) -> AsyncGenerator[Delta]:
        """Ask once. See `Provider.stream`."""
        request = request_of(self._settings, completion, self._limit)
        opening = self._client.chat.completions.with_streaming_response.create(
            **request, extra_headers=self._headers, timeout=completion.timeout_s
        )
        call = Call(self._sdk, self._where, completion.timeout_s)
        return read_answer(call, opening, OpenAIReading(self._where, self._settings.model))

    async def count(self, _: Completion, /) -> int | None:
        """This protocol has no endpoint that counts. See `Provider.count`."""
        return None

    async def probe(self, timeout_s: float) -> None:
        """Ask for the list of models. See `Provider.probe`."""
        listing = self._client.models.with_raw_response.list(extra_headers=self._headers, timeout=timeout_s)
        await answered(Call(self._sdk, self._where, timeout_s), listing)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


def _client(openai: Any, settings: Settings, base_url: str | None) -> Any:
    """The official client; for Azure with a version of its API, the one that builds Azure's addresses.

    It would take key, address and headers from its own environment variables; configuration alone decides.
    """
    omit = openai.Omit()
    common = {
        "api_key": settings.api_key.reveal() if settings.api_key else "unset",
        "admin_api_key": "",
        "max_retries": 0,
        "http_client": http_client(openai),
        "default_headers": {
            "OpenAI-Organization": omit,
            "OpenAI-Project": omit,
            **without_headers_of("OPENAI_CUSTOM_HEADERS", omit, settings.api_key),
        },
    }
    if settings.provider == "azure" and not settings.api_version:
        base_url = f"{(base_url or '').rstrip('/').removesuffix(_AZURE_V1)}{_AZURE_V1}"
    if settings.api_version:
        return openai.AsyncAzureOpenAI(azure_endpoint=base_url, api_version=settings.api_version, **common)
    return openai.AsyncOpenAI(base_url=base_url, **common)
