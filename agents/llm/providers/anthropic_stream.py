"""Reading an answer of the Messages API, event by event, strictly. No I/O.

    {"type": "message_start", "message": {"model": "m", "usage": {"input_tokens": 9}}}
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hel"}}
    {"type": "content_block_stop", "index": 0}
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}}
    {"type": "message_stop"}

Events and blocks of other types are passed over, as the reference asks for. Counts are totals, each
event's in place of those before. Source: Anthropic API reference, Streaming messages.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from agents.llm.conversation import Answer, StopReason, ToolCall, Usage, tool_call
from agents.llm.errors import AnswerUnreadable, PolicyRefused

from .failures import HttpFailure, error_of

_STOP: Final[dict[str, StopReason]] = {"max_tokens": "length", "model_context_window_exceeded": "length"}


class _Usage(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None


class _Message(msgspec.Struct):
    model: str = ""
    usage: _Usage | None = None


class _Block(msgspec.Struct):
    type: str
    text: str = ""
    id: str = ""
    name: str = ""
    input: Any = None


class _Delta(msgspec.Struct):
    type: str = ""
    text: str = ""
    partial_json: str = ""
    stop_reason: str | None = None


class _Details(msgspec.Struct):
    error_code: str | None = None


class _Error(msgspec.Struct):
    type: str = ""
    message: str = ""
    details: _Details | None = None


class _Event(msgspec.Struct):
    """All events in one: which fields there are depends on `type`."""

    type: str
    index: int = -1
    message: _Message | None = None
    content_block: _Block | None = None
    delta: _Delta | None = None
    usage: _Usage | None = None
    error: _Error | None = None


_decoder = msgspec.json.Decoder(_Event)


class AnthropicReading:
    """See `Reading`. `where` is the `provider/model` that errors name; `model` stands in where none is given."""

    def __init__(self, where: str, model: str) -> None:
        self.is_done = False
        self._where = where
        self._model = model
        self._is_begun = False
        self._text: list[str] = []
        self._calls: dict[int, tuple[_Block, list[str]]] = {}
        self._stop_reason: str | None = None
        self._usage = _Usage()
        self._steps: dict[str, Callable[[_Event], str]] = {
            "message_start": self._begin,
            "content_block_start": self._open_block,
            "content_block_delta": self._add,
            "message_delta": self._end,
            "message_stop": self._stop,
            "error": self._fail,
        }

    def take(self, event: bytes) -> str:
        """See `Reading.take`."""
        try:
            read = _decoder.decode(event)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise self._unreadable() from None
        step = self._steps.get(read.type)
        text = step(read) if step else ""
        self._text.append(text)
        return text

    def answer(self) -> Answer:
        """See `Reading.answer`."""
        usage = _counted(self._usage)
        if self._stop_reason == "refusal":
            refused = PolicyRefused(self._where, "the answer was refused")
            refused.usage = usage
            raise refused
        calls = tuple(_call(*self._calls[index]) for index in sorted(self._calls))
        return Answer(
            text="".join(self._text),
            model=self._model,
            stop_reason="tool_calls" if calls else _STOP.get(self._stop_reason or "", "end"),
            tool_calls=calls,
            usage=usage,
        )

    def _begin(self, event: _Event) -> str:
        if event.message is None:
            raise self._unreadable()
        self._is_begun = True
        self._model = event.message.model or self._model
        self._count(event.message.usage)
        return ""

    def _open_block(self, event: _Event) -> str:
        block = event.content_block
        if block is None or not self._is_begun:
            raise self._unreadable()
        if block.type == "tool_use":
            if not block.id or not block.name:
                raise AnswerUnreadable(self._where, "a tool call began without its id or name")
            self._calls[event.index] = (block, [])
        return block.text if block.type == "text" else ""

    def _add(self, event: _Event) -> str:
        delta = event.delta
        if delta is None or not self._is_begun:
            raise self._unreadable()
        if delta.type == "input_json_delta" and event.index in self._calls:
            self._calls[event.index][1].append(delta.partial_json)
        return delta.text if delta.type == "text_delta" else ""

    def _end(self, event: _Event) -> str:
        if event.delta is None:
            raise self._unreadable()
        self._stop_reason = event.delta.stop_reason or self._stop_reason
        self._count(event.usage)
        return ""

    def _stop(self, _: _Event) -> str:
        if not self._is_begun or self._stop_reason is None:
            raise AnswerUnreadable(self._where, "the stream ended without a beginning or a reason")
        self.is_done = True
        return ""

    def _fail(self, event: _Event) -> str:
        error = event.error or _Error()
        codes = (error.details.error_code if error.details else None, error.type)
        raise error_of(self._where, HttpFailure(codes=codes, message=error.message))

    def _count(self, usage: _Usage | None) -> None:
        for name in _Usage.__struct_fields__:
            value = getattr(usage, name, None)
            if value is not None:
                setattr(self._usage, name, value)

    def _unreadable(self) -> AnswerUnreadable:
        return AnswerUnreadable(self._where, "a piece of the answer is not a message's")


def _counted(usage: _Usage) -> Usage:
    """All input counts, cached or not: the total is the sum of three fields."""
    if usage.input_tokens is None:
        return Usage(output_tokens=usage.output_tokens)
    written, read = usage.cache_creation_input_tokens or 0, usage.cache_read_input_tokens or 0
    return Usage(
        input_tokens=usage.input_tokens + written + read,
        output_tokens=usage.output_tokens,
        cache_read_tokens=read,
        cache_write_tokens=written,
    )


def _call(block: _Block, pieces: list[str]) -> ToolCall:
    arguments = "".join(pieces)
    if not arguments and isinstance(block.input, dict):
        return ToolCall(id=block.id, name=block.name, input=block.input)
    return tool_call(block.id, block.name, arguments)
