"""What a server says that it can do, as far as a model may be told: bounded, pinned, and without what cannot be seen.

A description is a text of somebody else. It goes to the model in the field of the tools and nowhere else; it is cut,
and characters that a person would not see are spelt out. What a server says of a tool's effects is a hint of somebody
who is not trusted, and is not looked at.

Source: MCP 2025-11-25, Tools ("clients MUST consider tool annotations to be untrusted").
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

import msgspec

from schemas.a2a import JsonObject
from schemas.agent import McpServer
from schemas.text import harmless

from .names import tool_name
from .pins import Pins, pin_of

MAX_OFFERED: Final = 128
"""Tools of one server that a model gets; providers take about as many in all."""
MAX_LISTED: Final = 1_000
"""Tools that a server may list; what is behind them is not read."""
MAX_DESCRIPTION: Final = 2_000
MAX_NAME: Final = 128
MAX_BYTES: Final = 16 * 1024
"""Of a description with its schema."""
_NOT_AT_THE_TOP: Final = ("oneOf", "anyOf", "allOf", "not", "enum")
"""Keywords of a schema that providers refuse there, and with it the whole request."""
_WORDS: Final = ("description", "title")
"""Keywords whose value is for readers only."""


class Definition(Protocol):
    """A tool as a server lists it."""

    @property
    def name(self) -> str:
        """What the server calls it."""

    @property
    def description(self) -> str | None:
        """What it tells models of it."""

    @property
    def input_schema(self) -> dict[str, Any]:
        """The JSON Schema of its arguments."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One tool of a server. `name` is what a model calls it; `problem` says why an allowed one is not offered."""

    tool: str
    name: str
    description: str
    schema: JsonObject = field(repr=False)
    pin: str = ""
    is_allowed: bool = False
    is_pinned: bool = False
    is_changed: bool = False
    problem: str = ""

    @property
    def is_offered(self) -> bool:
        """Whether a model gets it."""
        return self.is_allowed and not self.problem


def listed(server: str, spec: McpServer, definitions: Iterable[Definition], pins: Pins) -> tuple[Listed, ...]:
    """All that a server lists, each with what is to be said of it. Nothing of it is believed."""
    found: list[Listed] = []
    names: set[str] = set()
    for definition in definitions:
        one = _one(server, spec, definition, pins)
        if one.is_offered and one.name in names:
            one = replace(one, problem="another tool has the same name")
        elif one.is_offered and len(names) == MAX_OFFERED:
            one = replace(one, problem=f"over {MAX_OFFERED} tools of one server; name fewer in 'tools'")
        if one.is_offered:
            names.add(one.name)
        found.append(one)
    return tuple(found)


def _one(server: str, spec: McpServer, definition: Definition, pins: Pins) -> Listed:
    tool, schema = definition.name, definition.input_schema
    one = Listed(
        tool=tool,
        name=tool_name(server, tool),
        description=_description(definition.description or ""),
        schema={},
        is_allowed=spec.allows_every_tool or tool in spec.tools,
        is_pinned=tool in spec.pins,
    )
    # first: what is too long is looked at no further
    if problem := _problem_of(definition) or _unknown_rule(spec.arguments.get(tool, {}), definition):
        return replace(one, problem=problem)
    try:
        pin = pin_of(tool, definition.description or "", schema)
    except ValueError as error:
        return replace(one, problem=f"its definition cannot be pinned: {error}")
    one = replace(one, pin=pin, schema=_readable(schema))
    if one.is_allowed and not pins.holds(tool, one.pin):
        said = "its definition is not the pinned one" if one.is_pinned else "its definition has changed since the start"
        return replace(one, is_changed=True, problem=f"{said}; look at it, and pin the new one if it is right")
    return one


def _problem_of(definition: Definition) -> str:
    """What keeps a provider, or us, from taking this tool."""
    schema = definition.input_schema
    if len(definition.name) > MAX_NAME:
        return f"its name has over {MAX_NAME} characters"
    if len(definition.description or "") + len(msgspec.json.encode(schema)) > MAX_BYTES:
        return f"its description and the schema of its arguments are over {MAX_BYTES >> 10} KiB"
    if schema.get("type") != "object":
        return "its arguments are no object"
    if found := [key for key in _NOT_AT_THE_TOP if key in schema]:
        return f"its arguments have {found[0]!r} at the top, which providers refuse"
    return ""


def _unknown_rule(rules: Iterable[str], definition: Definition) -> str:
    """A rule for what is no argument would never hold, so the tool is not to be had."""
    known = definition.input_schema.get("properties")
    found = [name for name in rules if not isinstance(known, dict) or name not in known]
    return f"the file has rules for its argument {found[0]!r}, which it does not have" if found else ""


def _description(text: str) -> str:
    safe = harmless(text.strip(), keep="\n\t")
    return safe if len(safe) <= MAX_DESCRIPTION else f"{safe[:MAX_DESCRIPTION]} [cut]"


def _readable(value: Any) -> Any:
    """A schema whose words for readers show all that is in them; what decides is left as it is."""
    if isinstance(value, list):
        return [_readable(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: _description(inner) if key in _WORDS and isinstance(inner, str) else _readable(inner)
        for key, inner in value.items()
    }
