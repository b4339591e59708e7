"""How answers are printed: errors as sentences, parts as text, states in colour on a terminal alone."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Awaitable

import msgspec

from schemas import a2a, names, protojson
from schemas.errors import A2AError, Unavailable
from schemas.text import harmless

_COLOURS: dict[str, str] = {
    a2a.WORKING: "36",
    a2a.COMPLETED: "32",
    a2a.FAILED: "31",
    a2a.REJECTED: "31",
    a2a.CANCELED: "33",
    **dict.fromkeys(a2a.INTERRUPTED, "35"),
}


async def told_plainly[T](answer: Awaitable[T]) -> T:
    """The answer; an error object with all its violations, a line each."""
    try:
        return await answer
    except A2AError as error:
        for violation in error.violations[1:]:
            print(f"agentbus: {harmless(f'{violation.field}: {violation.description}')}", file=sys.stderr)
        raise type(error)(said(error)) from None


def said(error: A2AError) -> str:
    """An agent's error as harmless text, begun with its reason unless nobody was there to give one."""
    safe = in_lines(error.message)
    return safe if isinstance(error, Unavailable) else f"{error.reason}: {safe}"


def in_lines(text: str) -> str:
    """Harmless text of an agent; none of its lines but the first passes for one of ours."""
    return "\n  ".join(map(harmless, text.split("\n")))


def print_json(value: a2a.A2AObject) -> None:
    """An object of the protocol, indented."""
    print(msgspec.json.format(protojson.encode(value), indent=2).decode())


def print_task(task: a2a.Task) -> None:
    """A task: its state, what is said of it, what it gave."""
    print(f"{harmless(task.id)} {state_shown(task.status.state)} since {harmless(task.status.timestamp)}")
    if due := due_of(task):
        print(f"not before {due}")
    if task.status.message is not None:
        print(text_of(task.status.message.parts))
    for artifact in task.artifacts:
        print(text_of(artifact.parts))


def due_of(task: a2a.Task) -> str:
    """When a task that was put off may be begun; empty when it is none, or does not wait any more."""
    due = task.metadata.get(names.NOT_BEFORE_KEY)
    return harmless(due) if isinstance(due, str) and task.status.state == a2a.SUBMITTED else ""


def state_name(state: str) -> str:
    """`TASK_STATE_INPUT_REQUIRED` as a person types it: `input-required`."""
    return state.removeprefix("TASK_STATE_").lower().replace("_", "-")


def state_shown(state: str, width: int = 0) -> str:
    """The state's name, padded; in colour where a person looks."""
    name = f"{state_name(state):<{width}}"
    colour = _COLOURS.get(state, "") if is_colourful() else ""
    return f"\x1b[{colour}m{name}\x1b[0m" if colour else name


def is_colourful() -> bool:
    """Whether standard output is a terminal whose user did not say no. Source: no-color.org."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def width_of_terminal() -> int | None:
    """How many characters a line may have where a person looks; as many as there are, where a program reads."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def text_of(parts: tuple[a2a.Part, ...]) -> str:
    """Parts as text that does nothing to a terminal."""
    return "\n".join(harmless(_part(part), keep="\n\t") for part in parts)


def _part(part: a2a.Part) -> str:
    if isinstance(part.text, str):
        return part.text
    if part.data is not msgspec.UNSET:
        return json.dumps(part.data, ensure_ascii=False)
    return str(part.url) if isinstance(part.url, str) else f"({len(part.raw or b'')} bytes)"
