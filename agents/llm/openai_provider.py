"""OpenAI's Chat Completions, which many servers speak: set `base_url` for those.

The official client makes the request and tells errors apart; the answer is read here, strictly,
because the client builds half an object from half an answer without a word.

Source: OpenAI API reference, Chat Completions; openai-python 3.
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
    tool_call,
)
from .errors import AnswerUnreadable, ExtraMissing, PolicyRefused
from .http_errors import failures_told
from .provider import Settings

DEFAULT_URL: Final = "https://api.openai.com/v1"


class _Function(msgspec.Struct):
    name: str
    arguments: str = ""


class _Call(msgspec.Struct):
    id: str
    function: _Function


class _Message(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[_Call] | None = None


class _Choice(msgspec.Struct):
    message: _Message
    finish_reason: str | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Reply(msgspec.Struct):
    choices: list[_Choice]
    model: str = ""
    usage: _Usage | None = None


_STOP: Final[dict[str | None, StopReason]] = {"length": "length"}
_decoder = msgspec.json.Decoder(_Reply)


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

    async def complete(self, completion: Completion) -> Answer:
        """Ask once. See `Provider.complete`."""
        async with failures_told(self._sdk, self._where, completion.timeout_s):
            response = await self._client.chat.completions.with_raw_response.create(
                **self._request(completion), extra_headers=self._headers, timeout=completion.timeout_s
            )
        return self._read(response.http_response.content)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    def _request(self, completion: Completion) -> dict[str, Any]:
        messages = [{"role": "system", "content": completion.system.text}]
        for turn in completion.turns:
            messages += _messages(turn)
        # OpenAI's newer models refuse max_tokens; most other servers know nothing else
        limit = "max_tokens" if self._settings.base_url else "max_completion_tokens"
        request = {
            "model": self._settings.model,
            "messages": messages,
            limit: self._settings.max_tokens_of(completion),
        }
        if completion.tools:
            request["tools"] = [_tool(spec) for spec in completion.tools]
        return request

    def _read(self, body: bytes) -> Answer:
        try:
            reply = _decoder.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise AnswerUnreadable(self._where, "the answer is not a chat completion") from None
        if not reply.choices:
            raise AnswerUnreadable(self._where, "the answer has no choices")
        choice = reply.choices[0]
        if choice.message.refusal or choice.finish_reason == "content_filter":
            raise PolicyRefused(self._where, "the answer was refused or filtered")
        calls = tuple(_call(call) for call in choice.message.tool_calls or ())
        usage = reply.usage or _Usage()
        return Answer(
            text=choice.message.content or "",
            model=reply.model or self._settings.model,
            stop_reason="tool_calls" if calls else _STOP.get(choice.finish_reason, "end"),
            tool_calls=calls,
            usage=Usage(input_tokens=usage.prompt_tokens, output_tokens=usage.completion_tokens),
        )


def _call(call: _Call) -> ToolCall:
    return tool_call(call.id, call.function.name, call.function.arguments)


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
