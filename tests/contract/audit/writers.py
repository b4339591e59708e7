"""Which events modules write, and with which metadata, read from their calls: a name in a log line is no event."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import NamedTuple

_EMITTERS = {"emit": 2, "Happened": 0}
"""What writes an event, and how many of its first arguments may be the kind; `kind=` may be it always."""
UNREADABLE = "?"
"""In place of the keys of metadata that are not written out where an event is."""
_Function = ast.FunctionDef | ast.AsyncFunctionDef


class _Call(NamedTuple):
    """A call, and the functions around it, the outermost first."""

    node: ast.Call
    around: tuple[_Function, ...]

    @property
    def name(self) -> str:
        return _name(self.node.func)

    def argument(self, name: str) -> ast.expr | None:
        return next((keyword.value for keyword in self.node.keywords if keyword.arg == name), None)

    def kinds(self, emitters: Mapping[str, int]) -> list[ast.expr]:
        places = emitters.get(self.name)
        if places is None:
            return []
        kind = self.argument("kind")
        return self.node.args[:places] + ([kind] if kind else [])

    def values(self, tree: ast.Module, name: str) -> list[ast.expr]:
        """What `name` is given, in the innermost function that knows it; a parameter is given nothing here."""
        for scope in reversed(self.around):
            if found := _values(scope).get(name):
                return found
            if name in _parameters(scope):
                return []
        return _values(tree).get(name, [])


def kinds_written(source: str) -> set[str]:
    """Every text that the module passes as the kind of an event, itself or through names that it gives a value."""
    return set(keys_written({"": source}))


def keys_written(modules: Mapping[str, str]) -> dict[str, set[str]]:
    """Those texts of all modules (name to source), and with each every key of metadata that it is written with."""
    trees = {module: ast.parse(source) for module, source in modules.items()}
    forwarders = {module: _forwarders(tree) for module, tree in trees.items()}
    found: dict[str, set[str]] = {}
    for module, tree in trees.items():
        own, imported = forwarders[module], _imported(tree, forwarders)
        emitters = dict.fromkeys(own, 1) | dict.fromkeys(imported, 2) | _EMITTERS
        for call in _calls(tree):
            is_plain = isinstance(call.node.func, ast.Name)
            added = own.get(call.name, set()) | (imported.get(call.name, set()) if is_plain else set())
            for kind in call.kinds(emitters):
                for text in _texts(kind, call, tree, frozenset()):
                    found.setdefault(text, set()).update(added | _keys(call.argument("metadata"), call, tree))
    return found


def _forwarders(tree: ast.Module) -> dict[str, set[str]]:
    """Functions of the module that hand their `kind` to what writes it, and the keys that they add."""
    found: dict[str, set[str]] = {}
    for call in _calls(tree):
        if any(_name(kind) == "kind" for kind in call.kinds(_EMITTERS)):
            for function in call.around:
                if "kind" in _parameters(function):
                    keys = _keys(call.argument("metadata"), call, tree)
                    found.setdefault(function.name, set()).update(keys)
    return found


def _imported(tree: ast.Module, forwarders: Mapping[str, Mapping[str, set[str]]]) -> dict[str, set[str]]:
    return {
        name.asname or name.name: known[name.name]
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (known := forwarders.get(node.module or ""))
        for name in node.names
        if name.name in known
    }


def _keys(node: ast.expr | None, call: _Call, tree: ast.Module) -> set[str]:
    match node:
        case None | ast.Constant(value=None):
            return set()
        case ast.Dict():
            return set().union(
                *(_keys_of_item(key, value, call, tree) for key, value in zip(node.keys, node.values, strict=True))
            )
        case ast.IfExp():
            return _keys(node.body, call, tree) | _keys(node.orelse, call, tree)
        case ast.BinOp(op=ast.BitOr()):
            return _keys(node.left, call, tree) | _keys(node.right, call, tree)
        case ast.Name(id=name) if values := call.values(tree, name):
            return set().union(*(_keys(value, call, tree) for value in values if value is not node))
    return {UNREADABLE}


def _keys_of_item(key: ast.expr | None, value: ast.expr, call: _Call, tree: ast.Module) -> set[str]:
    if key is None:  # **value
        return _keys(value, call, tree)
    return {key.value} if isinstance(key, ast.Constant) and isinstance(key.value, str) else {UNREADABLE}


def _calls(tree: ast.AST, around: tuple[_Function, ...] = ()) -> Iterator[_Call]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Call):
            yield _Call(node, around)
        yield from _calls(node, (*around, node) if isinstance(node, _Function) else around)


def _name(called: ast.expr) -> str:
    return called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")


def _parameters(function: _Function) -> set[str]:
    known = function.args
    return {argument.arg for argument in (*known.posonlyargs, *known.args, *known.kwonlyargs)}


def _values(scope: ast.AST) -> dict[str, list[ast.expr]]:
    """What each name is given in it."""
    found: dict[str, list[ast.expr]] = {}
    for node in ast.walk(scope):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        value = getattr(node, "value", None)
        if isinstance(node, ast.Assign | ast.AnnAssign) and value is not None:
            for target in targets:
                for name in ast.walk(target) if target is not None else ():
                    if isinstance(name, ast.Name):
                        found.setdefault(name.id, []).append(value)
    return found


def _texts(node: ast.expr, call: _Call, tree: ast.Module, seen: frozenset[str]) -> Iterator[str]:
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield part.value
        elif isinstance(part, ast.Name) and part.id not in seen:
            for value in call.values(tree, part.id):
                yield from _texts(value, call, tree, seen | {part.id})
