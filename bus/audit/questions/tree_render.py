"""A conversation's tree on a screen, 80 columns wide, and as rows for a machine.

ops → concierge SendMessage: ok 41 ms, 12+7 tokens
├ concierge → textstats SendMessage: ok 1.3 ms
└ concierge → greeter SendMessage: ok 20 ms, 12+7 tokens
  └ model offline/offline, 12+7 tokens: ok 0.1 ms
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from bus.audit.questions.tree import Node
from bus.audit.questions.tree_sums import Sums, sums_of
from schemas.text import harmless

WIDTH = 80
_DEEPEST = 16
"""Levels that are drawn below each other; deeper ones stand at this one."""
_OUTCOMES = {"success": "ok", "failure": "failed", "denied": "denied", "unknown": "no end is known"}


def rows(roots: Sequence[Node]) -> list[dict[str, Any]]:
    """Each piece of work as a flat row; `id` and `parent` are positions in the list, `parent` of a root is null.

    `total` is of all model calls in it and below it.
    """
    found: list[dict[str, Any]] = []
    sums = sums_of(roots)
    numbers: dict[int, int] = {}
    for node, depth, _ in walk(roots):
        numbers[id(node)] = len(found)
        names = ("kind", "writer", "actor", "action", "resource", "began", "outcome", "reason", "duration_ms")
        more = {name: getattr(node, name) for name in (*names, "steps", "facts", "callers_view", "events")}
        parent = numbers[id(node.parent)] if node.parent is not None else None
        found.append({"id": len(found), "parent": parent, "depth": depth, **more, "total": sums[id(node)].row()})
    return found


def lines(roots: Sequence[Node], correlation: str) -> list[str]:
    """The tree, and above it what it comes to. Everything that came from a message is made harmless."""
    sums = sums_of(roots)
    found = _head(roots, sums, correlation)
    for node, depth, is_last in walk(roots):
        first, rest = _rails(is_last[-min(depth, _DEEPEST) :] if depth else [])
        below = "│ " if node.children and depth < _DEEPEST else "  "
        text = harmless(" ".join(describe(node, sums[id(node)]).split()))
        found += textwrap.wrap(
            text, WIDTH, initial_indent=first, subsequent_indent=rest + below, break_on_hyphens=False
        )
    return found


def walk(roots: Sequence[Node]) -> Iterator[tuple[Node, int, list[bool]]]:
    """Every node before what it caused: with its depth, and for each level whether it is the last one there."""
    stack = [(node, 0, [True]) for node in reversed(roots)]
    while stack:
        node, depth, is_last = stack.pop()
        yield node, depth, is_last
        last = len(node.children) - 1
        tail = is_last[-_DEEPEST:]
        stack += [(child, depth + 1, [*tail, place == last]) for place, child in reversed([*enumerate(node.children)])]


def describe(node: Node, sums: Sums) -> str:
    """One piece of work in words, with what the model calls below it come to."""
    how = _OUTCOMES.get(node.outcome, node.outcome)
    if node.reason and node.outcome != "success":
        how += f": {node.reason}"
    if node.duration_ms is not None:
        how += f" {milliseconds(node.duration_ms)}"
    if node.callers_view:
        how += f" (for {node.actor}: {node.callers_view})"
    if sums.calls and node.kind in {"request", "task"}:
        how += f", {sums}"
    return f"{_what(node)} {how}"


def milliseconds(duration: float) -> str:
    """A duration as a person reads it."""
    if duration >= 60_000:
        return f"{duration / 60_000:.0f} min"
    if duration >= 1000:
        return f"{duration / 1000:.1f} s"
    return f"{duration:.0f} ms" if duration >= 10 else f"{duration:.1f} ms"


def _what(node: Node) -> str:
    if node.kind == "model":
        return f"model {node.resource}, {_tokens(node)}:"
    if node.kind == "tool":
        return f"tool {node.action}:"
    if node.kind == "proposal":
        return f"proposal {node.resource}: {', '.join(node.steps)};"
    if node.kind == "task":
        return f"{node.actor} → {node.resource}: {', '.join(node.steps)};"
    if node.kind == "request":
        return f"{node.actor} → {node.writer} {node.action}:"
    return f"{node.writer} {node.action} {node.resource}:"


def _tokens(node: Node) -> str:
    said = [node.facts.get(name, "?") for name in ("input_tokens", "output_tokens")]
    cost = node.facts.get("cost_usd")
    return f"{said[0]}+{said[1]} tokens" + (f", {cost} USD" if cost is not None else "")


def _head(roots: Sequence[Node], sums: dict[int, Sums], correlation: str) -> list[str]:
    nodes = [node for node, _, _ in walk(roots)]
    agents = {node.writer for node in nodes if node.kind in {"request", "task"}}
    whole = Sums()
    for root in roots:
        whole.add(sums[id(root)])
    counts = [_many(len(agents), "agent"), _many(whole.calls, "model call")]
    if whole.calls:
        counts.append(str(whole))
    began = min((node.began for node in nodes), default="")
    return [harmless(f"{began[:19]}Z  {correlation}")[:WIDTH], ", ".join(counts)]


def _many(count: int, what: str) -> str:
    return f"{count} {what}" + ("" if count == 1 else "s")


def _rails(is_last: Sequence[bool]) -> tuple[str, str]:
    """What stands before the first line of a node, and before its others."""
    if not is_last:
        return "", ""
    above = "".join("  " if last else "│ " for last in is_last[:-1])
    return (above + ("└ " if is_last[-1] else "├ ")), above + ("  " if is_last[-1] else "│ ")
