"""OpenAI's Chat Completions, which many servers speak: set `base_url` for those.

Source: OpenAI API reference, Chat Completions; openai-python 3.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, Final

import msgspec

from agents.llm.conversation import AssistantTurn, Completion, ToolSpec, ToolTurn, Turn, UserTurn
from agents.llm.deltas import Delta
from agents.llm.errors import ExtraMissing

from .base import Settings
from .http import Call, answered, read_answer
from .openai_stream import OpenAIReading

DEFAULT_URL: Final = "https://api.openai.com/v1"


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
                f"provider openai: cannot import {error.name or 'openai'}; run: pip install 'agentbus[openai]'"
            ) from None
        self._sdk = openai
        self._settings = settings
        self._where = f"openai/{settings.model}"
        key = settings.api_key
        # the client would take key and address from its own environment variables; configuration alone decides
        self._client = openai.AsyncOpenAI(
            api_key=key.reveal() if key else "unset",
            admin_api_key="",
            base_url=settings.base_url or DEFAULT_URL,
            max_retries=0,
        )
        self._headers = None if key else {"Authorization": openai.Omit()}

    def stream(self, completion: Completion) -> AsyncGenerator[Delta]:
        """Ask once. See `Provider.stream`."""
        opening = self._client.chat.completions.with_streaming_response.create(
            **self._request(completion), extra_headers=self._headers, timeout=completion.timeout_s
        )
        call = Call(self._sdk, self._where, completion.timeout_s)
        return read_answer(call, opening, OpenAIReading(self._where, self._settings.model))

    async def probe(self, timeout_s: float) -> None:
        """Ask for the list of models. See `Provider.probe`."""
        listing = self._client.models.with_raw_response.list(extra_headers=self._headers, timeout=timeout_s)
        await answered(Call(self._sdk, self._where, timeout_s), listing)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    def _request(self, completion: Completion) -> dict[str, Any]:
        messages = [{"role": "system", "content": completion.system.text}]
        for turn in completion.turns:
            messages += _messages(turn)
        # OpenAI's newer models refuse max_tokens; most other servers know nothing else
        limit = "max_tokens" if self._settings.base_url else "max_completion_tokens"
        request: dict[str, Any] = {
            "model": self._settings.model,
            "messages": messages,
            limit: self._settings.max_tokens_of(completion),
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if completion.tools:
            request["tools"] = [_tool(spec) for spec in completion.tools]
        return request


def _tool(spec: ToolSpec) -> dict[str, Any]:
    function = {"name": spec.name, "description": spec.description, "parameters": spec.input_schema}
    return {"type": "function", "function": function}


def _messages(turn: Turn) -> list[Any]:
    match turn:
        case UserTurn():
            return [{"role": "user", "content": turn.text}]
        case AssistantTurn():
            return _assistant(turn)
        case ToolTurn():
            # this protocol has no mark for a failed tool but words
            return [
                {"role": "tool", "tool_call_id": r.call_id, "content": f"ERROR: {r.text}" if r.is_error else r.text}
                for r in turn.results
            ]


def _assistant(turn: AssistantTurn) -> list[Any]:
    message: dict[str, Any] = {"role": "assistant", "content": turn.text}
    if turn.tool_calls:
        message["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": msgspec.json.encode(call.input).decode()},
            }
            for call in turn.tool_calls
        ]
    return [message]
