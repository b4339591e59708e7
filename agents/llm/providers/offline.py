"""A stand-in for a machine without keys or network. It is not a model: it follows the few rules below.

It answers in the style that its prompt's line `Style: friendly` or `Style: formal` names. Asked for
another style, it proposes the change of that line through the tool `propose_change`, if it is offered.
Where its prompt asks for JSON of a schema, it gives a value of that form, which judges nothing.
The same conversation always gets the same answer.
"""

from __future__ import annotations

import re
from typing import Final, Literal

from agents.llm.conversation import Answer, Completion, ToolCall, ToolTurn, Usage, UserTurn
from agents.llm.providers.offline_form import in_form
from agents.llm.providers.told import ToldProvider

MODEL: Final = "offline"
_TOOL: Final = "propose_change"
_STYLE_LINE = re.compile(r"^[ \t]*Style:[ \t]*(friendly|formal)[ \t]*$", re.MULTILINE)
_MAX_REPORT = 300

Style = Literal["friendly", "formal"]
_GREETINGS: Final[dict[Style, str]] = {
    "friendly": "Hi there! You said: {text}",
    "formal": "Good day. You wrote: {text}",
}
_WISHES: Final[tuple[tuple[str, Style], ...]] = (
    ("less formal", "friendly"),
    ("friendlier", "friendly"),
    ("more formal", "formal"),
    ("be formal", "formal"),
)


class OfflineProvider(ToldProvider):
    """Deterministic answers without any network; needs no key and takes no settings. Never fails."""

    def answer(self, completion: Completion) -> Answer:
        """Answer by rule."""
        return _answer_by_rule(completion)


def _answer_by_rule(completion: Completion) -> Answer:
    """What the stand-in says to this conversation."""
    last = completion.turns[-1] if completion.turns else UserTurn(text="")
    if isinstance(last, ToolTurn):
        return _said(_report(last))
    if (form := in_form(completion.system.text)) is not None:
        return _said(form)
    text = last.text if isinstance(last, UserTurn) else ""
    style = _style_of(completion.system.text)
    wish = _wish_of(text)
    if wish is None:
        return _said(_GREETINGS[style or "friendly"].format(text=text))
    return _change(completion, style, wish)


def _change(completion: Completion, style: Style | None, wish: Style) -> Answer:
    if style is None:
        return _said("My configuration has no line 'Style: friendly' or 'Style: formal', so I cannot change it.")
    if style == wish:
        return _said(f"My style is already {wish}.")
    if _TOOL not in {tool.name for tool in completion.tools}:
        return _said("I may not propose changes to myself.")
    call = ToolCall(
        id=f"offline-{len(completion.turns)}",
        name=_TOOL,
        input={
            "path": "agent.yaml",
            "find": f"Style: {style}",
            "replace": f"Style: {wish}",
            "rationale": f"A caller asked for a {wish} style.",
        },
    )
    return Answer(text="", model=MODEL, stop_reason="tool_calls", tool_calls=(call,), usage=_NO_TOKENS)


def _report(turn: ToolTurn) -> str:
    """One sentence for each result, whatever the tool wrote."""
    return " ".join(
        f"{'The change could not be proposed' if result.is_error else 'The change was proposed'}: "
        f"{_one_line(result.text)}."
        for result in turn.results
    )


def _one_line(text: str) -> str:
    line = " ".join(text.split()).rstrip(".")
    return line if len(line) <= _MAX_REPORT else line[: _MAX_REPORT - 1] + "…"


def _style_of(prompt: str) -> Style | None:
    match = _STYLE_LINE.search(prompt)
    if match is None:
        return None
    return "formal" if match[1] == "formal" else "friendly"


def _wish_of(text: str) -> Style | None:
    lowered = text.lower()
    return next((style for words, style in _WISHES if words in lowered), None)


_NO_TOKENS: Final = Usage(input_tokens=0, output_tokens=0)


def _said(text: str) -> Answer:
    return Answer(text=text, model=MODEL, stop_reason="end", usage=_NO_TOKENS)
