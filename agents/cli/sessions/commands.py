"""What agents remember of who asks, over the operations of extension `SESSIONS_URI`."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from agents.cli.run import log_quietly, run_async
from agents.cli.shown import print_json, told_plainly
from agents.people import operator
from bus.requests.caller import Caller
from schemas import a2a
from schemas import sessions as wire
from schemas.errors import InvalidDocument, UnsupportedOperation
from schemas.text import harmless

_TIMEOUT_S = 10.0
_NONE = 1


def show_all(home: Path, caller: str, agent: str, limit: int, *, as_json: bool) -> None:
    """A row a conversation."""
    request = wire.ListSessionsRequest(limit=limit)
    found = _asked(home, caller, agent, wire.LIST_SESSIONS, request, wire.ListSessionsResponse)
    if as_json:
        print_json(found)
        return
    width = max([len("CONVERSATION"), *(len(harmless(head.context_id)) for head in found.sessions)])
    print(
        f"{'CONVERSATION':<{width}}  {'LAST ANSWER':<24}  {'MESSAGES':>8}  {'ARCHIVED':>8}  {'TOKENS':>8}  {'BYTES':>8}"
    )
    for head in found.sessions:
        place = f"{harmless(head.context_id):<{width}}  {harmless(head.written_at):<24}"
        print(f"{place}  {head.turns:>8}  {head.archived:>8}  {head.used_tokens:>8}  {head.size:>8}")
    if found.total > len(found.sessions):
        print(f"agentbus: the {len(found.sessions)} newest of {found.total}", file=sys.stderr)


def show(home: Path, caller: str, agent: str, context: str) -> None:
    """What was said, the archive first."""
    data = _stored(home, caller, agent, context)
    if summary := data.get("summary"):
        print(f"Summary of what was put away:\n{harmless(str(summary), keep='\n\t')}\n")
    for kept in [*data.get("archived", []), *data.get("turns", [])]:
        print(harmless(_line(kept), keep="\n\t"))


def export(home: Path, caller: str, agent: str, context: str, file: Path | None) -> None:
    """As it is stored."""
    text = msgspec.json.format(msgspec.json.encode(_stored(home, caller, agent, context)), indent=2).decode()
    if file is None:
        print(text)
        return
    try:
        with file.open("x", encoding="utf-8") as out:
            out.write(f"{text}\n")
    except OSError as error:
        raise InvalidDocument(f"cannot write {file}: {error.strerror}; name a file that does not exist yet") from None
    print(f"wrote {file}")


def delete(home: Path, caller: str, agent: str, context: str, *, everything: bool) -> None:
    """One, or all."""
    if bool(context) == everything:
        raise InvalidDocument("name one conversation, or say --all")

    async def all_of(calls: Caller) -> int:
        count = 0
        listed = wire.ListSessionsRequest(limit=wire.MOST_LISTED)
        while found := (await _call(calls, agent, wire.LIST_SESSIONS, listed, wire.ListSessionsResponse)).sessions:
            for head in found:
                count += (await _delete(calls, agent, head.context_id)).was_there
            if len(found) < wire.MOST_LISTED:
                break
        count += (await _call(calls, agent, wire.DELETE_NOTES, a2a.Empty(), wire.Deleted)).was_there
        return count

    async def one(calls: Caller) -> int:
        return int((await _delete(calls, agent, context)).was_there)

    count = _as_operator(home, caller, all_of if everything else one)
    if not count:
        print(f"agentbus: {agent} remembers nothing of that", file=sys.stderr)
        raise SystemExit(_NONE)
    print(f"deleted {count}")


def notes(home: Path, caller: str, agent: str, *, as_json: bool) -> None:
    """Each with its name and when it was written."""
    data = _asked(home, caller, agent, wire.GET_NOTES, a2a.Empty(), wire.StoredData).data or {}
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(data), indent=2).decode())
        return
    for name, note in sorted(data.get("notes", {}).items()):
        print(harmless(f"{name} ({note.get('written_at', '')})\n{note.get('text', '')}\n", keep="\n\t"))


def _stored(home: Path, caller: str, agent: str, context: str) -> dict[str, Any]:
    request = wire.SessionRequest(context_id=context)
    data = _asked(home, caller, agent, wire.GET_SESSION, request, wire.StoredData).data
    if not isinstance(data, dict):
        print(f"agentbus: {agent} remembers no conversation {harmless(context)}", file=sys.stderr)
        raise SystemExit(_NONE)
    return data


def _asked[T](home: Path, caller: str, agent: str, operation: str, request: a2a.A2AObject, answer: type[T]) -> T:
    return _as_operator(home, caller, lambda calls: _call(calls, agent, operation, request, answer))


def _as_operator[T](home: Path, caller: str, ask: Callable[[Caller], Awaitable[T]]) -> T:
    log_quietly()

    async def main() -> T:
        async with operator(home, caller) as calls:
            return await ask(calls)

    return run_async(told_plainly(main()))


async def _call[T](calls: Caller, agent: str, operation: str, request: a2a.A2AObject, answer: type[T]) -> T:
    try:
        return await calls.call(agent, operation, request, answer, timeout_s=_TIMEOUT_S)
    except UnsupportedOperation:
        raise UnsupportedOperation(
            f"{agent} remembers nothing: its file has no section memory, and no tool note"
        ) from None


async def _delete(calls: Caller, agent: str, context: str) -> wire.Deleted:
    return await _call(calls, agent, wire.DELETE_SESSION, wire.SessionRequest(context_id=context), wire.Deleted)


def _line(kept: dict[str, Any]) -> str:
    """One turn as it stands in the stored conversation."""
    turn = kept.get("turn", {})
    match turn.get("turn"):
        case "user":
            who, said = "user", [turn.get("text", "")]
        case "assistant":
            calls = [f"uses {call.get('name')} with {call.get('input')}" for call in turn.get("tool_calls", [])]
            who, said = "agent", [*filter(None, [turn.get("text", "")]), *calls]
        case _:
            who, said = "tool", [str(result.get("text", "")) for result in turn.get("results", [])]
    return f"{kept.get('at', '')}  {who}: " + "\n".join(said)
