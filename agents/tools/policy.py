"""What the agent's file allows of a tool's arguments, looked at after their form and before anything is done."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from agents.tools.errors import ToolRefused, ToolUnusable
from agents.tools.row import Row
from schemas.a2a import JsonObject
from schemas.agent import Argument
from schemas.json_schema import JsonSchema

_LONGEST_TEXT: Final = 10_000
"""A pattern is compared with no more: several `**` in it cost more than their sum."""
_SHOWN: Final = 200
_WILD: Final = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def require_allowed(row: Row, arguments: Mapping[str, Any]) -> None:
    """Return when the file allows this call. `arguments` are plain values with their defaults.

    Raises:
        ToolRefused: it does not; the message names the argument and what it may be.
    """
    for name in row.arguments:
        require_argument(row.name, name, row.arguments, arguments.get(name))


def require_argument(tool: str, name: str, rules: Mapping[str, Argument], value: Any) -> None:
    """The same for one argument; also of what a tool comes to use in its place, such as where a redirect leads."""
    problem = _problem_of(rules[name], value) if name in rules else ""
    if problem:
        raise ToolRefused(f"{tool}: {name} {problem}")


def require_known(row: Row) -> None:
    """Return when each argument that the file speaks of is one of the tool's.

    Raises:
        ToolUnusable: it is not, so the rule would never hold.
    """
    known: JsonObject = row.tool.form.schema.get("properties", {})
    for name in row.arguments:
        if name not in known:
            raise ToolUnusable(f"tools.{row.name}.arguments: there is no {name!r}; there are: {', '.join(known)}")


def require_cacheable(row: Row) -> None:
    """Return unless the file wants results kept of a tool of which each call has to be made.

    Raises:
        ToolUnusable: it does.
    """
    if row.cache_s is not None and (row.has_effects or row.needs_approval):
        why = "has effects, so each call has to be made" if row.has_effects else "is decided about call by call"
        raise ToolUnusable(f"tools.{row.name}.cache_s: {row.name} {why}; leave cache_s out")


def _problem_of(wanted: Argument, value: Any) -> str:
    if wanted.must and (wrong := JsonSchema(wanted.must).violations(value, "")):
        return f"may not be so: {wrong[0].description[:_SHOWN]}"
    if not wanted.allow and not wanted.deny:
        return ""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) and len(text) <= _LONGEST_TEXT for text in texts):
        return f"must be text of at most {_LONGEST_TEXT} characters"
    for text in texts:
        if any(matches(pattern, text) for pattern in wanted.deny):
            return f"{text[:_SHOWN]!r} is not allowed"
        if wanted.allow and not any(matches(pattern, text) for pattern in wanted.allow):
            return f"{text[:_SHOWN]!r} is not allowed; allowed is: {', '.join(wanted.allow)}"
    return ""


def matches(pattern: str, text: str) -> bool:
    """Whether the whole of `text` is as `pattern` has it: `*` and `?` end at a `/`, `**` takes all, line ends too."""
    return _compiled(pattern).fullmatch(text) is not None


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    pieces = re.split(r"(\*\*/|\*\*|\*|\?)", pattern)
    return re.compile("".join(_WILD.get(piece, re.escape(piece)) for piece in pieces), re.DOTALL)
