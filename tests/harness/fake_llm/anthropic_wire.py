"""Anthropic's Messages API as a server speaks it. Source: Anthropic API reference."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from .pieces import argument_pieces, words
from .steps import Answer, CallTool, Fail


def check(headers: dict[str, str], body: dict[str, Any]) -> str:
    """What the service would refuse the request for, or nothing."""
    missing = [name for name in ("model", "max_tokens", "messages") if not body.get(name)]
    if missing or "anthropic-version" not in headers:
        return f"required: {missing or 'the header anthropic-version'}"
    open_calls: set[str] = set()
    for message in body["messages"]:
        if message["role"] not in {"user", "assistant"} or not message["content"]:
            return "messages: a role of user or assistant, and content, are required"
        blocks = [] if isinstance(message["content"], str) else message["content"]
        if any(block["type"] == "text" and not block["text"] for block in blocks):
            return "messages: text content blocks must be non-empty"
        results = {block["tool_use_id"] for block in blocks if block["type"] == "tool_result"}
        if results != open_calls:
            return "tool_use ids and the tool_result blocks right after them do not match"
        open_calls = {block["id"] for block in blocks if block["type"] == "tool_use"}
    return "the last tool_use blocks have no tool_result" if open_calls else ""


def error(step: Fail) -> dict[str, Any]:
    """The form of an error."""
    told: dict[str, Any] = {"type": step.kind, "message": step.message}
    if step.code:
        told["details"] = {"error_code": step.code}
    return {"type": "error", "error": told, "request_id": "req-fake-1"}


def error_event(step: Fail) -> bytes:
    """An error in the middle of a stream."""
    return _event(error(step))


def body(answer: Answer, model: str, number: int) -> dict[str, Any]:
    """The whole answer at once."""
    content: list[dict[str, Any]] = [{"type": "text", "text": answer.text}] if answer.text else []
    if isinstance(answer, CallTool):
        content += [
            {"type": "tool_use", "id": f"toolu_{number}_{index}", "name": name, "input": given}
            for index, (name, given) in enumerate(answer.calls)
        ]
    stopped = {"stop_reason": _stop(answer), "stop_sequence": None}
    return {**_head(model, number), "content": content, **stopped, "usage": _usage(answer)}


def events(answer: Answer, request: dict[str, Any], number: int) -> Iterator[bytes]:
    """The answer in pieces."""
    begun: dict[str, Any] = {
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {**_usage(answer), "output_tokens": 1},
    }
    yield _event({"type": "message_start", "message": {**_head(request["model"], number), **begun}})
    yield _event({"type": "ping"})
    index = 0
    if answer.text:
        deltas = [{"type": "text_delta", "text": word} for word in words(answer.text)]
        yield from _block(index, {"type": "text", "text": ""}, deltas)
        index += 1
    for place, (name, given) in enumerate(answer.calls if isinstance(answer, CallTool) else ()):
        block = {"type": "tool_use", "id": f"toolu_{number}_{place}", "name": name, "input": {}}
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in ("", *argument_pieces(given))]
        yield from _block(index + place, block, deltas)
    stopped = {"stop_reason": _stop(answer), "stop_sequence": None}
    yield _event({"type": "message_delta", "delta": stopped, "usage": {"output_tokens": answer.output_tokens}})
    yield _event({"type": "message_stop"})


def _block(index: int, block: dict[str, Any], deltas: list[dict[str, str]]) -> Iterator[bytes]:
    yield _event({"type": "content_block_start", "index": index, "content_block": block})
    for delta in deltas:
        yield _event({"type": "content_block_delta", "index": index, "delta": delta})
    yield _event({"type": "content_block_stop", "index": index})


def _head(model: str, number: int) -> dict[str, Any]:
    return {"id": f"msg_{number}", "type": "message", "role": "assistant", "model": f"{model}-exact"}


def _stop(answer: Answer) -> str:
    return "tool_use" if isinstance(answer, CallTool) else answer.stop or "end_turn"


def _usage(answer: Answer) -> dict[str, int]:
    return {
        "input_tokens": answer.input_tokens - answer.cached_tokens,
        "output_tokens": answer.output_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": answer.cached_tokens,
    }


def _event(data: dict[str, Any]) -> bytes:
    return f"event: {data['type']}\ndata: {json.dumps(data)}\n\n".encode()
