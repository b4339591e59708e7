"""The shape of the code: layers point down, one seam over nats-py, small modules and functions, our names."""

from __future__ import annotations

import ast
import functools
import importlib.metadata
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "schemas": {"schemas"},
    "bus": {"schemas", "bus"},
    "approvals": {"schemas", "bus", "approvals"},
    "agents": {"schemas", "bus", "approvals", "agents"},
}
"""Layer to the layers that it may import."""
BOUNDARIES = {
    "agents/cli/run.py": "a command: errors of ours become one sentence, all others keep their traceback",
    "agents/runtime/tasks/runs.py": "a worker's tasks: one bad task must not end the process",
    "approvals/reviewing/service.py": "the approval service's messages: one bad message must not end the process",
    "bus/wire.py": "a connection's messages: a handler that fails must not cost the connection",
    "bus/requests/responder.py": "a worker's requests: one bad request must not end the process",
}
"""The files in which everything may be caught, once each, and why."""
IMPURE = {
    "asyncio",
    "structlog",
    "time",
    "random",
    "secrets",
    "socket",
    "subprocess",
    "threading",
    "logging",
    "os",
    "pathlib",
}
MAX_MODULE_LINES, MAX_FUNCTION_LINES, MAX_FOLDER_FILES = 400, 60, 40


def modules(*folders: str) -> list[Path]:
    """Every Python file of these folders."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


PRODUCT = modules(*MAY_IMPORT)
ALL = [*PRODUCT, *modules("tests")]


def named(path: Path) -> str:
    """A file as a test's id."""
    return str(path.relative_to(ROOT))


@cache
@functools.cache
def tree_of(path: Path) -> ast.Module:
    """The parsed file."""
    return ast.parse(path.read_text())


def imports_of(path: Path) -> Iterator[str]:
    """The top-level name of everything that a file imports, at its top or in a function; relative ones are its own."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").split(".")[0] if not node.level else path.relative_to(ROOT).parts[0]


def test_there_is_something_to_look_at() -> None:
    """The tests below see each layer's files."""
    assert {path.relative_to(ROOT).parts[0] for path in PRODUCT} == set(MAY_IMPORT)


@pytest.mark.parametrize("path", PRODUCT, ids=named)
def test_layers_point_down(path: Path) -> None:
    """schemas ← bus ← approvals ← agents, and nothing of the product imports its tests."""
    ours = {*MAY_IMPORT, "tests"}
    assert set(imports_of(path)) & ours <= MAY_IMPORT[path.relative_to(ROOT).parts[0]]


@pytest.mark.parametrize("path", modules("approvals/verdict"), ids=named)
def test_the_verdict_knows_the_record_alone(path: Path) -> None:
    """What decides a proposal imports nothing of approvals but itself and the errors."""
    ours = {
        node.module
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ImportFrom) and node.module and not node.level
    }
    assert {name for name in ours if name.startswith("approvals.")} <= {
        "approvals.errors",
        *(f"approvals.verdict.{other.stem}" for other in modules("approvals/verdict")),
        "approvals.verdict",
    }


@pytest.mark.parametrize("path", PRODUCT, ids=named)
def test_only_the_bus_imports_nats(path: Path) -> None:
    """There is one seam over the client library."""
    if "nats" in set(imports_of(path)):
        assert path.relative_to(ROOT).parts[0] == "bus"


@pytest.mark.parametrize("path", modules("schemas"), ids=named)
def test_schemas_do_nothing(path: Path) -> None:
    """Types know no clock, no randomness, no files, no tasks and no log."""
    assert set(imports_of(path)) & IMPURE == set()


@pytest.mark.parametrize("folder", ["nats", "systemd"])
def test_folders_for_other_programs_hold_no_python(folder: str) -> None:
    """A Python file in `nats/` would shadow the client library."""
    assert list((ROOT / folder).rglob("*.py")) == []


def test_our_names_are_ours_alone() -> None:
    """No other installed distribution provides a package that is called like a layer."""
    providers = importlib.metadata.packages_distributions()
    assert "msgspec" in providers
    for name in MAY_IMPORT:
        assert set(providers.get(name, [])) <= {"agentbus"}


@pytest.mark.parametrize("path", PRODUCT, ids=named)
def test_everything_is_caught_at_boundaries_only(path: Path) -> None:
    """`except Exception` stands once in each known boundary; `except BaseException` always raises again."""
    handlers = [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.ExceptHandler)]
    caught = [ast.unparse(handler.type) if handler.type else "everything" for handler in handlers]
    assert caught.count("Exception") == (named(path) in BOUNDARIES)
    assert "everything" not in caught
    for handler, kind in zip(handlers, caught, strict=True):
        if "BaseException" in kind:
            assert isinstance(handler.body[-1], ast.Raise)
            assert handler.body[-1].exc is None


@pytest.mark.parametrize("path", ALL, ids=named)
def test_modules_and_functions_are_short(path: Path) -> None:
    """What does not fit on a few screens is split."""
    assert len(path.read_text().splitlines()) <= MAX_MODULE_LINES
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines <= MAX_FUNCTION_LINES, f"{node.name} has {lines} lines"


@pytest.mark.parametrize("folder", sorted({path.parent for path in ALL}), ids=named)
def test_folders_are_short(folder: Path) -> None:
    """A folder's listing can be read at a glance."""
    assert len(list(folder.glob("*.py"))) <= MAX_FOLDER_FILES


@pytest.mark.parametrize("path", ALL, ids=named)
def test_every_module_says_what_it_is(path: Path) -> None:
    """A docstring begins each file."""
    assert ast.get_docstring(tree_of(path))
