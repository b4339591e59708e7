"""One call of a tool, as people are asked about it: they see all of it, so what they allow is what runs.

Nothing is masked: a mask would hide what it stands for, also where that is no secret. Arguments that hold a secret
are refused instead.
"""

from __future__ import annotations

import json
import re

import msgspec

from approvals.change.flags import flags_of
from approvals.change.leaks import secret_in
from schemas.approvals import ToolCall
from schemas.canonical import canonical
from schemas.errors import UNREADABLE
from schemas.redaction import REGISTERED

MAX_ARGUMENTS = 32_000
"""Characters: more than anybody reads."""
_TOOL = re.compile(r"[A-Za-z0-9_-]{1,64}")
_AS_FILE = "arguments.txt"


def problem_of_call(call: ToolCall) -> str:
    """Why people cannot be asked about it, one sentence that repeats no secret; empty where they can."""
    if not _TOOL.fullmatch(call.tool):
        return "this is no name of a tool"
    if len(call.arguments) > MAX_ARGUMENTS:
        return f"the arguments are longer than the {MAX_ARGUMENTS} characters that people are asked to read"
    if not _is_canonical(call.arguments):
        return "the arguments are not in their canonical form"
    if REGISTERED.are_in(call.arguments):
        return "the arguments hold a secret of this process; people would read it, and it would be kept for ever"
    leak = secret_in({}, {_AS_FILE: "\n".join(lines_of(call)).encode()})
    return leak.replace(_AS_FILE, "of the arguments")


def lines_of(call: ToolCall) -> list[str]:
    """The arguments for people: a line for each, texts of several lines as such; nothing is left out."""
    lines = []
    for name, value in json.loads(call.arguments).items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        first, *rest = text.split("\n")
        lines += [f"{name}: {first}", *(f"  | {line}" for line in rest)]
    return lines


def flags_of_call(call: ToolCall) -> tuple[str, ...]:
    """What reviewers are to mind: characters that cannot be seen, letters that look like others."""
    return tuple(
        flag.replace(_AS_FILE, "the arguments") for flag in flags_of({}, {_AS_FILE: "\n".join(lines_of(call)).encode()})
    )


def _is_canonical(arguments: str) -> bool:
    try:
        value = msgspec.json.decode(arguments)
        return isinstance(value, dict) and canonical(value).decode() == arguments
    except (*UNREADABLE, ValueError):
        return False
