"""Anthropic's Messages API.

The official client (2.11) has no temperature, top_p or top_k, so none is offered.

Source: Anthropic API reference, Messages; anthropic-sdk-python 2.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, Final

import msgspec

from agents.llm.conversation import AssistantTurn, Completion, ToolSpec, ToolTurn, Turn, UserTurn
from agents.llm.deltas import Delta
from agents.llm.errors import AnswerUnreadable, ExtraMissing

from .anthropic_stream import AnthropicReading
from .base import Settings
from .http import Call, answered, http_client, read_answer
from .surroundings import without_headers_of

DEFAULT_URL: Final = "https://api.anthropic.com"
_NOT_COUNTED: Final = frozenset({"max_tokens", "stream"})


class _Count(msgspec.Struct):
    input_tokens: int


_counted = msgspec.json.Decoder(_Count)


class AnthropicProvider:
    """One model behind the Messages API.

    Raises:
        ExtraMissing: the package `anthropic` is not installed.
    """

    def __init__(self, settings: Settings) -> None:
        try:
            import anthropic  # here, not above: it takes two seconds and 70 MB, which other providers need not pay
        except ImportError as error:
            raise ExtraMissing(
                f"provider anthropic: cannot import {error.name or 'anthropic'}; run: pip install 'agentbus[anthropic]'"
            ) from None
        self._sdk = anthropic
        self._settings = settings
        self._where = f"anthropic/{settings.model}"
        key = settings.api_key
        # the client would take key, address and headers from its own environment variables; configuration alone decides.
        # its tracing can be told by the environment to record what is said, so it stays off
        self._client = anthropic.AsyncAnthropic(
            api_key=key.reveal() if key else "unset",
            base_url=settings.base_url or DEFAULT_URL,
            max_retries=0,
            open_telemetry=False,
            http_client=http_client(anthropic),
            default_headers=without_headers_of("ANTHROPIC_CUSTOM_HEADERS", anthropic.Omit(), key),
        )
        self._headers = None if key else {"Authorization": anthropic.Omit()}

    def stream(self, completion: Completion) -> AsyncGenerator[Delta]:
        """Ask once. See `Provider.stream`."""
        opening = self._client.messages.with_streaming_response.create(
            **self._request(completion), extra_headers=self._headers, timeout=completion.timeout_s
        )
        call = Call(self._sdk, self._where, completion.timeout_s)
        return read_answer(call, opening, AnthropicReading(self._where, self._settings.model))

    async def count(self, completion: Completion, /) -> int | None:
        """Ask the endpoint that counts. See `Provider.count`."""
        request = {name: value for name, value in self._request(completion).items() if name not in _NOT_COUNTED}
        counting = self._client.messages.with_raw_response.count_tokens(
            **request, extra_headers=self._headers, timeout=completion.timeout_s
        )
        response = await answered(Call(self._sdk, self._where, completion.timeout_s), counting)
        try:
            return _counted.decode(response.http_response.content).input_tokens
        except msgspec.MsgspecError:
            raise AnswerUnreadable(self._where, "the count is not a number of tokens") from None

    async def probe(self, timeout_s: float) -> None:
        """Ask for the list of models. See `Provider.probe`."""
        listing = self._client.models.with_raw_response.list(extra_headers=self._headers, timeout=timeout_s)
        await answered(Call(self._sdk, self._where, timeout_s), listing)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    def _request(self, completion: Completion) -> dict[str, Any]:
        messages = [_message(turn) for turn in completion.turns]
        request: dict[str, Any] = {
            "model": self._settings.model,
            "max_tokens": self._settings.max_tokens_of(completion),
            "system": completion.system.text,
            "messages": [message for message in messages if message["content"]],
            "stream": True,
        }
        if completion.tools:
            request["tools"] = [_tool(spec) for spec in completion.tools]
        return request


def _tool(spec: ToolSpec) -> dict[str, Any]:
    return {"name": spec.name, "description": spec.description, "input_schema": spec.input_schema}


def _message(turn: Turn) -> dict[str, Any]:
    match turn:
        case UserTurn():
            return {"role": "user", "content": turn.text}
        case AssistantTurn():
            text = [{"type": "text", "text": turn.text}] if turn.text else []  # empty text blocks are refused
            calls = [
                {"type": "tool_use", "id": call.id, "name": call.name, "input": call.input} for call in turn.tool_calls
            ]
            return {"role": "assistant", "content": text + calls}
        case ToolTurn():
            results = [
                {"type": "tool_result", "tool_use_id": r.call_id, "content": r.text, "is_error": r.is_error}
                for r in turn.results
            ]
            return {"role": "user", "content": results}
