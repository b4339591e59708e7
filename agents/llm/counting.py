"""How many tokens a text is, where nobody has counted: an estimate with a margin, rather too many.

English is 4.2 characters a token, JSON and code 3 to 3.5, Chinese and Japanese up to 1.5 tokens a
character, by the tokenizers of 2024 to 2026; the rates below lie above all of those. What is dense
without being language (base64, long numbers) can be more than this says.
"""

from __future__ import annotations

import msgspec

from .conversation import AssistantTurn, Completion, ToolTurn, Turn

_ASCII_PER_TOKEN = 3
_BYTES_PER_TOKEN = 2
_PER_TURN = 8
"""What a wire format puts around each turn, each call and each tool."""


def tokens_of_text(text: str) -> int:
    """The tokens of `text`."""
    if text.isascii():
        return -(-len(text) // _ASCII_PER_TOKEN)
    others = len(text.encode("utf-8", "replace")) - (ascii_count := len(text.encode("ascii", "ignore")))
    return -(-ascii_count // _ASCII_PER_TOKEN) - (-others // _BYTES_PER_TOKEN)


def tokens_of_turn(turn: Turn) -> int:
    """The tokens of one turn, its tool calls or results included."""
    match turn:
        case AssistantTurn():
            calls = sum(
                _PER_TURN + tokens_of_text(call.name) + tokens_of_text(msgspec.json.encode(call.input).decode())
                for call in turn.tool_calls
            )
            return _PER_TURN + tokens_of_text(turn.text) + calls
        case ToolTurn():
            return sum(_PER_TURN + tokens_of_text(result.text) for result in turn.results)
    return _PER_TURN + tokens_of_text(turn.text)


def tokens_of(completion: Completion) -> int:
    """The tokens that a completion sends: prompt, turns and tools."""
    tools = sum(_PER_TURN + tokens_of_text(msgspec.json.encode(tool).decode()) for tool in completion.tools)
    return _PER_TURN + tokens_of_text(completion.system.text) + tools + sum(map(tokens_of_turn, completion.turns))
