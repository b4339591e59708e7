"""Tools of installed distributions: only the one that the agent's file names, of the distribution that it names."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.cli.agent.findings import findings
from agents.cli.agent.inventory import tools_of
from agents.runtime.loading.load import load_agent
from agents.testing import calls, trial
from agents.tools.errors import ToolUnusable
from agents.tools.others import origins_of, other_row

MODULE = '''
from agents.tool import tool


@tool(has_effects=False)
async def shout(text: str) -> str:
    """Say it louder."""
    return text.upper()


quiet = "no tool"
'''
AGENT = """\
agent: {id: crier, description: Cries., version: 1.0.0}
llm: {system_prompt: You cry., pool: [{provider: offline}]}
tools: ["crier-tools:loud"]
"""
METADATA = "Metadata-Version: 2.1\nName: crier-tools\nVersion: 1.2.0\n"
ENTRIES = "[agentbus.tools]\nloud = crier_tools_for_tests:shout\nquiet = crier_tools_for_tests:quiet\ngone = crier_tools_gone:x\n"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A distribution with tools, as an installer leaves it."""
    site = tmp_path / "site"
    info = site / "crier_tools-1.2.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(METADATA)
    (info / "entry_points.txt").write_text(ENTRIES)
    (site / "crier_tools_for_tests.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(site))
    yield tmp_path
    sys.modules.pop("crier_tools_for_tests", None)


async def test_a_tool_of_a_named_distribution_is_used(installed: Path) -> None:
    """It is called by the entry point's name, and operators see whose it is."""
    (installed / "agent.yaml").write_text(AGENT)
    async with trial(installed, model=[calls("loud", text="hear"), "done"]) as agent:
        await agent.ask("cry")
        assert "HEAR" in agent.tool_results[0].text
    row = other_row("crier-tools:loud", installed)
    assert row is not None
    assert (row.name, row.origin) == ("loud", "crier-tools 1.2.0")


def test_operators_see_whose_it_is(installed: Path) -> None:
    """`agent validate` and `agent show` name the distribution and its version; for the first nothing is imported."""
    (installed / "agent.yaml").write_text(AGENT)
    names = ["crier-tools:loud", "tools.py:x", "read", "unknown-one:x"]
    assert origins_of(names) == ["loud of crier-tools 1.2.0"]
    assert "crier_tools_for_tests" not in sys.modules
    told = "agent crier 1.0.0, answers with a model, with loud of crier-tools 1.2.0"
    assert findings(installed / "agent.yaml", {}).told == told
    (tool,) = tools_of(load_agent(installed / "agent.yaml"))
    assert (tool.name, tool.origin) == ("loud", "crier-tools 1.2.0")


def test_nothing_is_imported_that_no_file_names(installed: Path) -> None:
    """To be installed is not to be used: the distribution's module is not looked at."""
    assert other_row("read", installed) is None
    assert "crier_tools_for_tests" not in sys.modules


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("crier-tools:lout", "has no tool 'lout' .*there are: gone, loud, quiet"),
        ("crier-tools:quiet", "no function decorated with @tool"),
        ("crier-tools:gone", "cannot be imported: ModuleNotFoundError"),
        ("other-tools:loud", "the distribution other-tools is not installed here"),
    ],
)
def test_what_is_not_there_is_said(installed: Path, name: str, said: str) -> None:
    """The message names the distribution and what it has."""
    with pytest.raises(ToolUnusable, match=said):
        other_row(name, installed)
