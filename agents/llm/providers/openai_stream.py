"""Reading an answer of Chat Completions, chunk by chunk, strictly. No I/O.

    data: {"model": "m", "choices": [{"index": 0, "delta": {"content": "Hel"}, "finish_reason": null}]}
    data: {"model": "m", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    data: {"model": "m", "choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 1}}
    data: [DONE]

A tool call comes in pieces under one `index`: the first has its id and name, all have some of its
arguments. Source: OpenAI API reference, Chat Completions streaming.
"""

from __future__ import annotations

from typing import Final

import msgspec

from agents.llm.conversation import Answer, StopReason, ToolCall, Usage, tool_call
from agents.llm.errors import AnswerUnreadable, PolicyRefused

from .failures import HttpFailure, error_of

_STOP: Final[dict[str, StopReason]] = {"length": "length"}
_END: Final = b"[DONE]"


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _Piece(msgspec.Struct):
    index: int
    id: str | None = None
    function: _Function | None = None


class _Delta(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[_Piece] | None = None


class _Choice(msgspec.Struct):
    delta: _Delta
    finish_reason: str | None = None
    index: int = 0


class _Cached(msgspec.Struct):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _Cached | None = None


class _Error(msgspec.Struct):
    message: str = ""
    code: str | int | None = None
    type: str | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    model: str = ""
    usage: _Usage | None = None
    error: _Error | None = None


class _OpenCall(msgspec.Struct):
    id: str
    name: str
    arguments: list[str]


_decoder = msgspec.json.Decoder(_Chunk)


class OpenAIReading:
    """See `Reading`. `where` is the `provider/model` that errors name; `model` stands in where none is given."""

    def __init__(self, where: str, model: str) -> None:
        self.is_done = False
        self._where = where
        self._model = model
        self._text: list[str] = []
        self._calls: dict[int, _OpenCall] = {}
        self._finish_reason: str | None = None
        self._is_refused = False
        self._usage = _Usage()

    def take(self, event: bytes) -> str:
        """See `Reading.take`."""
        if event == _END:
            if self._finish_reason is None:
                raise AnswerUnreadable(self._where, "the stream ended without a reason")
            self.is_done = True
            return ""
        chunk = self._decode(event)
        self._model = chunk.model or self._model
        self._usage = chunk.usage or self._usage
        text = "".join(self._add(choice) for choice in chunk.choices or () if choice.index == 0)
        self._text.append(text)
        return text

    def answer(self) -> Answer:
        """See `Reading.answer`."""
        calls = tuple(self._call(index) for index in sorted(self._calls))
        usage = _counted(self._usage)
        if self._is_refused or self._finish_reason == "content_filter":
            refused = PolicyRefused(self._where, "the answer was refused or filtered")
            refused.usage = usage
            raise refused
        return Answer(
            text="".join(self._text),
            model=self._model,
            stop_reason="tool_calls" if calls else _STOP.get(self._finish_reason or "", "end"),
            tool_calls=calls,
            usage=usage,
        )

    def _decode(self, event: bytes) -> _Chunk:
        try:
            chunk = _decoder.decode(event)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise AnswerUnreadable(self._where, "a piece of the answer is not a chat completion's") from None
        if chunk.error is not None:
            codes = (chunk.error.code, chunk.error.type)
            raise error_of(self._where, HttpFailure(codes=codes, message=chunk.error.message))
        if chunk.choices is None:
            raise AnswerUnreadable(self._where, "a piece of the answer has no choices")
        return chunk

    def _add(self, choice: _Choice) -> str:
        delta = choice.delta
        self._is_refused = self._is_refused or bool(delta.refusal)
        self._finish_reason = choice.finish_reason or self._finish_reason
        for piece in delta.tool_calls or ():
            self._add_piece(piece)
        return delta.content or ""

    def _add_piece(self, piece: _Piece) -> None:
        function = piece.function or _Function()
        call = self._calls.get(piece.index)
        if call is None:
            if not piece.id or not function.name:
                raise AnswerUnreadable(self._where, "a tool call began without its id or name")
            call = self._calls[piece.index] = _OpenCall(piece.id, function.name, [])
        call.arguments.append(function.arguments or "")

    def _call(self, index: int) -> ToolCall:
        call = self._calls[index]
        return tool_call(call.id, call.name, "".join(call.arguments))


def _counted(usage: _Usage) -> Usage:
    cached = usage.prompt_tokens_details.cached_tokens if usage.prompt_tokens_details else None
    return Usage(input_tokens=usage.prompt_tokens, output_tokens=usage.completion_tokens, cache_read_tokens=cached or 0)
