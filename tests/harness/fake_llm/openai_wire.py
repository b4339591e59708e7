"""OpenAI's Chat Completions as a server speaks it. Source: OpenAI API reference."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from .pieces import argument_pieces, arguments, words
from .steps import Answer, CallTool, Fail


def check(_headers: dict[str, str], body: dict[str, Any]) -> str:
    """What the service would refuse the request for, or nothing."""
    if not body.get("model") or not body.get("messages"):
        return "model and messages are required"
    if body.get("stream_options") and not body.get("stream"):
        return "stream_options is only allowed when stream is true"
    open_calls: set[str] = set()
    for message in body["messages"]:
        if message["role"] == "tool":
            if message.get("tool_call_id") not in open_calls:
                return "a message of role tool must follow the tool_calls it answers"
            open_calls.discard(message["tool_call_id"])
            continue
        if open_calls:
            return f"tool_call_ids did not have response messages: {sorted(open_calls)}"
        if message["role"] not in {"system", "developer", "user", "assistant"}:
            return f"unknown role {message['role']}"
        open_calls = {call["id"] for call in message.get("tool_calls") or ()}
    return "the last tool_calls have no response messages" if open_calls else ""


def error(step: Fail) -> dict[str, Any]:
    """The form of an error."""
    return {"error": {"message": step.message, "type": step.kind, "param": None, "code": step.code}}


def error_event(step: Fail) -> bytes:
    """An error in the middle of a stream."""
    return _event(error(step))


def body(answer: Answer, model: str, number: int) -> dict[str, Any]:
    """The whole answer at once."""
    message: dict[str, Any] = {"role": "assistant", "content": answer.text or None, "refusal": None}
    if isinstance(answer, CallTool):
        message["tool_calls"] = [
            _call(number, index, name, arguments(given)) for index, (name, given) in enumerate(answer.calls)
        ]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _stop(answer)}
    return {**_head(model, number, "chat.completion"), "choices": [choice], "usage": _usage(answer)}


def events(answer: Answer, request: dict[str, Any], number: int) -> Iterator[bytes]:
    """The answer in pieces."""
    head = _head(request["model"], number, "chat.completion.chunk")
    counts = {"usage": None} if (request.get("stream_options") or {}).get("include_usage") else {}

    def chunk(delta: dict[str, Any], stop: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": stop}
        return _event({**head, "choices": [choice], **counts})

    yield chunk({"role": "assistant", "content": "", "refusal": None})
    for word in words(answer.text):
        yield chunk({"content": word})
    for index, (name, given) in enumerate(answer.calls if isinstance(answer, CallTool) else ()):
        yield chunk({"tool_calls": [{"index": index, **_call(number, index, name, "")}]})
        for piece in argument_pieces(given):
            yield chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    yield chunk({}, _stop(answer))
    if counts:
        yield _event({**head, "choices": [], "usage": _usage(answer)})
    yield b"data: [DONE]\n\n"


def _head(model: str, number: int, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{number}", "object": kind, "created": 1, "model": f"{model}-exact"}


def _call(number: int, index: int, name: str, given: str) -> dict[str, Any]:
    return {"id": f"call_{number}_{index}", "type": "function", "function": {"name": name, "arguments": given}}


def _stop(answer: Answer) -> str:
    return "tool_calls" if isinstance(answer, CallTool) else answer.stop or "stop"


def _usage(answer: Answer) -> dict[str, Any]:
    return {
        "prompt_tokens": answer.input_tokens,
        "completion_tokens": answer.output_tokens,
        "total_tokens": answer.input_tokens + answer.output_tokens,
        "prompt_tokens_details": {"cached_tokens": answer.cached_tokens},
    }


def _event(data: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(data).encode() + b"\n\n"
