"""Tools that do not come with the product: in a file beside agent.yaml, or of an installed distribution.

    tools.py:NAME           a tool of the agent's own folder; it is reviewed with it
    DISTRIBUTION:NAME       the entry point NAME in the group `agentbus.tools` of that distribution

Nothing is searched for: of a distribution that no file names nothing is imported, and no other distribution can give
the tool of a name, since the file says whose it is.

Source: Python Packaging User Guide, entry points specification.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib.util
import sys
from collections.abc import Iterable
from importlib.metadata import Distribution, EntryPoint, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, Final

from agents.runtime.loading.siblings import find_siblings
from agents.tools.authoring import AuthoredTool
from agents.tools.errors import ToolUnusable
from agents.tools.row import Row
from schemas.agent.tools import INSTALLED, OWN
from schemas.errors import InvalidDocument

GROUP: Final = "agentbus.tools"
_MODULE: Final = "agentbus_tools_of"
_WHEN_IMPORTING: Final = (
    ArithmeticError, AssertionError, AttributeError, ImportError, InvalidDocument, LookupError, NameError, OSError,
    RuntimeError, SyntaxError, TypeError, ValueError,
)  # fmt: skip
"""What a module's own lines may raise; anything else is left to whoever called."""


def other_row(name: str, folder: Path) -> Row | None:
    """The tool of this name in an agent's file; None where it is not of this form. Its module is imported: its lines run.

    Raises:
        ToolUnusable: there is none, or it cannot be imported; the message says what would be right.
    """
    own = OWN.fullmatch(name)
    if own is not None:
        found = _found(name, vars(_module(name, folder / own["file"])), own["name"])
        return found.row(own["name"], own["file"])
    other = INSTALLED.fullmatch(name)
    if other is None:
        return None
    where = _distribution(name, other["distribution"])
    found = _loaded(name, _entry(name, where, other["name"]))
    return found.row(other["name"], shown(where))


def shown(where: Distribution) -> str:
    """Name and version."""
    return f"{where.metadata['Name']} {where.version}"


def origins_of(names: Iterable[str]) -> list[str]:
    """Which of a file's tools are of distributions, and of which version, for operators. Nothing is imported.

    What is not installed is left out.
    """
    found = []
    for name in names:
        other = INSTALLED.fullmatch(name) if not OWN.fullmatch(name) else None
        if other is not None:
            with contextlib.suppress(PackageNotFoundError):
                found.append(f"{other['name']} of {shown(distribution(other['distribution']))}")
    return sorted(found)


def _module(name: str, path: Path) -> Any:
    """The file's module; one that was imported already and has not changed is not run again."""
    if not path.is_file():
        raise ToolUnusable(f"tools: {name}: there is no {path.name} beside agent.yaml")
    stamp = (str(path), path.stat().st_mtime_ns)
    title = f"{_MODULE}_{path.stem}"
    known = sys.modules.get(title)
    if known is not None and getattr(known, "__stamp__", None) == stamp:
        return known
    spec = importlib.util.spec_from_file_location(title, path)
    if spec is None or spec.loader is None:
        raise ToolUnusable(f"tools: {name}: {path.name} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[title] = module  # the types of its functions are resolved through it
    sys.dont_write_bytecode = True  # the release folder is read-only
    find_siblings(path.parent)
    try:
        spec.loader.exec_module(module)
    except _WHEN_IMPORTING as error:
        del sys.modules[title]
        raise _unimportable(name, path.name, error) from error
    module.__stamp__ = stamp  # type: ignore[attr-defined]
    return module


def _unimportable(name: str, what: str, error: BaseException) -> ToolUnusable:
    said = str(error) if isinstance(error, InvalidDocument) else f"{type(error).__name__}: {error}"
    return ToolUnusable(f"tools: {name}: {what} cannot be imported: {' '.join(said.split())}")


def _found(name: str, values: dict[str, Any], attribute: str) -> AuthoredTool:
    named = {key: value for key, value in values.items() if isinstance(value, AuthoredTool)}
    if attribute in named:
        return named[attribute]
    near = difflib.get_close_matches(attribute, named, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(sorted(named)) or 'none'}"
    raise ToolUnusable(f"tools: {name}: {attribute} is no function decorated with @tool; {hint}")


def _distribution(name: str, wanted: str) -> Distribution:
    try:
        return distribution(wanted)
    except PackageNotFoundError:
        raise ToolUnusable(f"tools: {name}: the distribution {wanted} is not installed here") from None


def _entry(name: str, where: Distribution, wanted: str) -> EntryPoint:
    entries = where.entry_points.select(group=GROUP)
    found = next((entry for entry in entries if entry.name == wanted), None)
    if found is None:
        known = ", ".join(sorted(entry.name for entry in entries)) or "none"
        raise ToolUnusable(f"tools: {name}: {shown(where)} has no tool {wanted!r} ({GROUP}); there are: {known}")
    return found


def _loaded(name: str, entry: EntryPoint) -> AuthoredTool:
    try:
        found = entry.load()
    except _WHEN_IMPORTING as error:
        raise _unimportable(name, entry.value, error) from error
    if not isinstance(found, AuthoredTool):
        raise ToolUnusable(f"tools: {name}: {entry.value} is no function decorated with @tool")
    return found
