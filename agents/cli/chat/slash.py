"""What a word with a slash does, at the beginning of a line."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Literal, NamedTuple

from agents.cli.chat.dialogue import Cost, Dialogue
from agents.cli.chat.screen import Screen
from schemas.text import harmless

Outcome = Literal["done", "failed", "leave"]


class Command(NamedTuple):
    """`do` gets what stands behind the word."""

    meaning: str
    do: Callable[[Dialogue, Screen, str], Outcome]


def _export(dialogue: Dialogue, screen: Screen, path: str) -> Outcome:
    text = _document(dialogue) if path.endswith(".json") else _page(dialogue)
    if not path:
        print(harmless(text, keep="\n\t"), flush=True)
        return "done"
    try:
        with Path(path).expanduser().open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        screen.note(f"cannot write {path}: {error.strerror}; name a file that does not exist yet")
        return "failed"
    screen.note(f"wrote {path}")
    return "done"


def _cost(dialogue: Dialogue, screen: Screen, _: str) -> Outcome:
    screen.note(cost_line(dialogue.cost))
    return "done"


def _new(dialogue: Dialogue, screen: Screen, _: str) -> Outcome:
    dialogue.begin_anew()
    screen.note(f"a new conversation: {dialogue.context}")
    return "done"


def _help(_: Dialogue, screen: Screen, __: str) -> Outcome:
    for word, command in COMMANDS.items():
        screen.note(f"{word:<8} {command.meaning}")
    return "done"


def _quit(_: Dialogue, __: Screen, ___: str) -> Outcome:
    return "leave"


COMMANDS: Final[Mapping[str, Command]] = {
    "/export": Command("show the conversation, or write it to a new FILE (.json, or text): /export [FILE]", _export),
    "/cost": Command("what the answers took so far", _cost),
    "/new": Command("begin another conversation", _new),
    "/help": Command("this list", _help),
    "/quit": Command("leave", _quit),
}


def cost_line(cost: Cost) -> str:
    """The sums, of which each may be unknown."""
    usd = "unknown cost" if cost.usd is None else f"{cost.usd.normalize():f} USD"
    tokens = f"{_shown(cost.input_tokens)} input tokens, {_shown(cost.output_tokens)} output tokens"
    return f"{cost.answers} answer{'s' if cost.answers != 1 else ''}, {tokens}, {usd}"


def _shown(number: int | None) -> str:
    return "unknown" if number is None else f"{number:,}"


def _document(dialogue: Dialogue) -> str:
    messages = [{"role": said.role, "text": said.text, "at": said.at} for said in dialogue.said]
    document = {"agent": dialogue.agent, "contextId": dialogue.context, "messages": messages}
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def _page(dialogue: Dialogue) -> str:
    head = f"# {dialogue.agent}, {dialogue.context}\n"
    return "\n".join((head, *(f"**{said.role}** {said.at}\n\n{said.text}\n" for said in dialogue.said)))
