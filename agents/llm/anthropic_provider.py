"""Anthropic's Messages API.

The official client makes the request and tells errors apart; the answer is read here, strictly,
because the client builds half an object from half an answer without a word. The client (2.11) has no
temperature, top_p or top_k, so none is offered.

Source: Anthropic API reference, Messages; anthropic-sdk-python 2.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from .conversation import (
    Answer,
    AssistantTurn,
    Completion,
    StopReason,
    ToolCall,
    ToolSpec,
    ToolTurn,
    Turn,
    Usage,
    UserTurn,
)
from .errors import AnswerUnreadable, ExtraMissing, PolicyRefused
from .http_errors import failures_told
from .provider import Settings

DEFAULT_URL: Final = "https://api.anthropic.com"


class _Block(msgspec.Struct):
    """A piece of the answer; kinds that we did not ask for are passed over."""

    type: str
    text: str = ""
    id: str = ""
    name: str = ""
    input: Any = None


class _Usage(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None


class _Reply(msgspec.Struct):
    content: list[_Block]
    model: str = ""
    stop_reason: str | None = None
    usage: _Usage | None = None


_STOP: Final[dict[str | None, StopReason]] = {"max_tokens": "length", "model_context_window_exceeded": "length"}
_decoder = msgspec.json.Decoder(_Reply)


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
        # the client would take key and address from its own environment variables; configuration alone decides.
        # its tracing can be told by the environment to record what is said, so it stays off
        self._client = anthropic.AsyncAnthropic(
            api_key=key.reveal() if key else "unset",
            base_url=settings.base_url or DEFAULT_URL,
            max_retries=0,
            open_telemetry=False,
        )
        self._headers = None if key else {"Authorization": anthropic.Omit()}

    async def complete(self, completion: Completion) -> Answer:
        """Ask once. See `Provider.complete`."""
        async with failures_told(self._sdk, self._where, completion.timeout_s):
            response = await self._client.messages.with_raw_response.create(
                **self._request(completion), extra_headers=self._headers, timeout=completion.timeout_s
            )
        return self._read(response.http_response.content)

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
        }
        if completion.tools:
            request["tools"] = [_tool(spec) for spec in completion.tools]
        return request

    def _read(self, body: bytes) -> Answer:
        try:
            reply = _decoder.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise AnswerUnreadable(self._where, "the answer is not a message") from None
        if reply.stop_reason == "refusal":
            raise PolicyRefused(self._where, "the answer was refused")
        calls = tuple(_call(block) for block in reply.content if block.type == "tool_use")
        return Answer(
            text="".join(block.text for block in reply.content if block.type == "text"),
            model=reply.model or self._settings.model,
            stop_reason="tool_calls" if calls else _STOP.get(reply.stop_reason, "end"),
            tool_calls=calls,
            usage=_usage(reply.usage),
        )


def _usage(usage: _Usage | None) -> Usage:
    """All input counts, cached or not: the total is the sum of three fields."""
    if usage is None or usage.input_tokens is None:
        return Usage(output_tokens=usage.output_tokens if usage else None)
    cached = (usage.cache_creation_input_tokens or 0) + (usage.cache_read_input_tokens or 0)
    return Usage(input_tokens=usage.input_tokens + cached, output_tokens=usage.output_tokens)


def _call(block: _Block) -> ToolCall:
    if isinstance(block.input, dict):
        return ToolCall(id=block.id, name=block.name, input=block.input)
    return ToolCall(id=block.id, name=block.name, problem="the arguments are not a JSON object")


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
