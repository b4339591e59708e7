"""Which events a module writes, read from its calls: a name in a log line or in a reader's table is no event."""

from __future__ import annotations

import ast
from collections.abc import Iterator

_EMITTERS = {"emit": 2, "Happened": 0}
"""What writes an event, and how many of its first arguments may be the kind; `kind=` may be it always."""


def kinds_written(source: str) -> set[str]:
    """Every text that the module passes as the kind of an event, itself or through names that it gives a value."""
    tree = ast.parse(source)
    emitters = dict.fromkeys(_forwarders(tree), 1) | _EMITTERS
    values = _values(tree)
    kinds = [kind for call in _calls(tree) for kind in _kind_of(call, emitters)]
    return {text for kind in kinds for text in _texts(kind, values, frozenset())}


def _calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def _name(called: ast.expr) -> str:
    return called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")


def _kind_of(call: ast.Call, emitters: dict[str, int]) -> list[ast.expr]:
    places = emitters.get(_name(call.func))
    if places is None:
        return []
    return call.args[:places] + [keyword.value for keyword in call.keywords if keyword.arg == "kind"]


def _forwarders(tree: ast.AST) -> set[str]:
    """Functions of the module that hand their `kind` to what writes it."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return {
        function.name
        for function in functions
        if any(_name(kind) == "kind" for call in _calls(function) for kind in _kind_of(call, _EMITTERS))
        and any(argument.arg == "kind" for argument in function.args.args)
    }


def _values(tree: ast.AST) -> dict[str, list[ast.expr]]:
    """What each name is given in the module."""
    found: dict[str, list[ast.expr]] = {}
    for node in ast.walk(tree):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        value = getattr(node, "value", None)
        if isinstance(node, ast.Assign | ast.AnnAssign) and value is not None:
            for target in targets:
                for name in ast.walk(target) if target is not None else ():
                    if isinstance(name, ast.Name):
                        found.setdefault(name.id, []).append(value)
    return found


def _texts(node: ast.expr, values: dict[str, list[ast.expr]], seen: frozenset[str]) -> Iterator[str]:
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield part.value
        elif isinstance(part, ast.Name) and part.id not in seen:
            for value in values.get(part.id, ()):
                yield from _texts(value, values, seen | {part.id})
