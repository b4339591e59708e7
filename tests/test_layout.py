"""The shape of the code: layers point down, one seam over nats-py, small modules and functions, our names."""

from __future__ import annotations

import ast
import functools
import importlib.metadata
from collections.abc import Callable, Iterable, Iterator
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


@functools.cache
def tree_of(path: Path) -> ast.Module:
    """The parsed file."""
    return ast.parse(path.read_text())


@functools.cache
def nodes_of(path: Path) -> list[ast.AST]:
    """All that is in it, in no order that matters."""
    return list(ast.walk(tree_of(path)))


@functools.cache
def imports_of(path: Path) -> frozenset[str]:
    """The top-level name of everything that a file imports, at its top or in a function; relative ones are its own."""
    found: set[str] = set()
    for node in nodes_of(path):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").split(".")[0] if not node.level else path.relative_to(ROOT).parts[0])
    return frozenset(found)


@pytest.fixture(scope="module", autouse=True)
def _trees() -> Iterator[None]:
    """What was parsed is not kept: the process goes on with other tests."""
    yield
    tree_of.cache_clear()
    nodes_of.cache_clear()


def test_there_is_something_to_look_at() -> None:
    """The tests below see each layer's files."""
    assert {path.relative_to(ROOT).parts[0] for path in PRODUCT} == set(MAY_IMPORT)


def breaking(paths: Iterable[Path], rule: Callable[[Path], bool]) -> list[str]:
    """The files that do not keep a rule.

    A test for each file of each rule would be half of all tests, and each worker of a run collects them all.
    """
    return [named(path) for path in paths if not rule(path)]


def test_layers_point_down() -> None:
    """schemas ← bus ← approvals ← agents, and nothing of the product imports its tests."""
    ours = {*MAY_IMPORT, "tests"}
    assert breaking(PRODUCT, lambda path: imports_of(path) & ours <= MAY_IMPORT[path.relative_to(ROOT).parts[0]]) == []


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


def test_only_the_bus_imports_nats() -> None:
    """There is one seam over the client library."""
    others = [path for path in PRODUCT if path.relative_to(ROOT).parts[0] != "bus"]
    assert others
    assert breaking(others, lambda path: "nats" not in imports_of(path)) == []


def test_schemas_do_nothing() -> None:
    """Types know no clock, no randomness, no files, no tasks and no log."""
    assert breaking(modules("schemas"), lambda path: not imports_of(path) & IMPURE) == []


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


def _catches_at_boundaries_only(path: Path) -> bool:
    handlers = [node for node in nodes_of(path) if isinstance(node, ast.ExceptHandler)]
    caught = [ast.unparse(handler.type) if handler.type else "everything" for handler in handlers]
    return (
        caught.count("Exception") == (named(path) in BOUNDARIES)
        and "everything" not in caught
        and all(
            isinstance(last := handler.body[-1], ast.Raise) and last.exc is None
            for handler, kind in zip(handlers, caught, strict=True)
            if "BaseException" in kind
        )
    )


def test_everything_is_caught_at_boundaries_only() -> None:
    """`except Exception` stands once in each known boundary; `except BaseException` always raises again."""
    assert breaking(PRODUCT, _catches_at_boundaries_only) == []


def test_modules_are_short() -> None:
    """What does not fit on a few screens is split."""
    assert breaking(ALL, lambda path: len(path.read_text().splitlines()) <= MAX_MODULE_LINES) == []


def test_functions_are_short() -> None:
    """The same of a function, which fits on one."""
    long = [
        f"{named(path)}: {node.name} has {lines} lines"
        for path in ALL
        for node in nodes_of(path)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > MAX_FUNCTION_LINES
    ]
    assert long == []


def test_folders_are_short() -> None:
    """A folder's listing can be read at a glance."""
    folders = sorted({path.parent for path in ALL})
    assert breaking(folders, lambda folder: len(list(folder.glob("*.py"))) <= MAX_FOLDER_FILES) == []


def test_every_module_says_what_it_is() -> None:
    """A docstring begins each file."""
    assert breaking(ALL, lambda path: bool(ast.get_docstring(tree_of(path)))) == []


def test_the_layers_are_typed() -> None:
    """Whoever checks the types of an agent of their own sees those of the library (PEP 561)."""
    assert [name for name in MAY_IMPORT if not (ROOT / name / "py.typed").is_file()] == []
