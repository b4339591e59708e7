"""A question as Chat Completions wants it. No I/O."""

from __future__ import annotations

from typing import Any

import msgspec

from agents.llm.conversation import AssistantTurn, Completion, ToolSpec, ToolTurn, Turn, UserTurn

from .base import Settings


def request_of(settings: Settings, completion: Completion, limit: str) -> dict[str, Any]:
    """The body of the request, without what the client adds; `limit` is the server's name for the longest answer."""
    messages = [{"role": "system", "content": completion.system.text}]
    for turn in completion.turns:
        messages += _messages(turn)
    request: dict[str, Any] = {
        "model": settings.model,
        "messages": messages,
        limit: settings.max_tokens_of(completion),
        "stream": True,
        "stream_options": {"include_usage": True},
        **settings.sampling,
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
