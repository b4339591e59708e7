"""Modules beside an agent's own: found by their plain names, and never another agent's."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.runtime.loading.load import load_agent
from agents.skill import Context, Skill, skill
from agents.testing import calls, trial
from schemas.errors import InvalidDocument

HANDLER = '''\
from agents.skill import Context, skill
from words import GREETING
import json


@skill
async def greet(request: str, ctx: Context) -> str:
    """Greets
    who asks.

    More of it.
    """
    import later
    return f"{GREETING} {later.NAME} {json.dumps(request)}"
'''
TOOLS = '''\
from agents.tool import tool
from words import GREETING


@tool(has_effects=False)
async def greeting() -> str:
    """The greeting."""
    return GREETING
'''


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """What is found where."""
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name in {"words", "later"}:
            del sys.modules[name]


def agent(folder: Path, name: str) -> Path:
    """An agent of several modules, one of which has the name of a library's."""
    folder.mkdir()
    (folder / "agent.yaml").write_text(f"agent: {{id: {name}, description: Greets.}}\nhandler: handler.py:greet\n")
    (folder / "handler.py").write_text(HANDLER)
    (folder / "words.py").write_text(f"GREETING = 'hello from {name}'\n")
    (folder / "later.py").write_text(f"NAME = '{name}'\n")
    (folder / "json.py").write_text("raise AssertionError('not the library')\n")
    return folder


async def test_each_agent_finds_its_own(tmp_path: Path) -> None:
    """At its start and later, in a process that looks at several; libraries come first."""
    for name in ("a", "b", "a"):
        folder = tmp_path / name
        async with trial(folder if folder.exists() else agent(folder, name)) as tried:
            assert await tried.ask("x") == f'hello from {name} {name} "x"'
    assert [Path(each).name for each in sys.path if each.startswith(str(tmp_path))] == ["a"]


async def test_tools_find_them_too(tmp_path: Path) -> None:
    """As the handler does."""
    folder = agent(tmp_path / "c", "c")
    (folder / "agent.yaml").write_text(
        "agent: {id: c, description: d}\nllm: {system_prompt: p, pool: [{provider: offline}]}\ntools: ['tools.py:greeting']\n"
    )
    (folder / "tools.py").write_text(TOOLS)
    async with trial(folder, model=[calls("greeting"), "Done."]) as tried:
        await tried.ask("x")
        assert "hello from c" in tried.tool_results[0].text


def test_a_docstring_describes_a_skill(tmp_path: Path) -> None:
    """Its first paragraph, in a line; without one the author is told."""
    (found,) = load_agent(agent(tmp_path / "d", "d"), {}).skills
    assert (found.id, found.description) == ("greet", "Greets who asks.")

    async def silent(request: str, ctx: Context) -> str:
        return request

    with pytest.raises(InvalidDocument, match="skill silent needs a docstring, or `description`"):
        skill(silent)
    assert isinstance(skill(description="Says it.")(silent), Skill)
