"""The newsroom is made of the templates, and stays so."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.cli.agent.new import TEMPLATES
from agents.home import EXAMPLE, NEWSROOM, fleet_folder
from agents.runtime.loading.load import load_agent
from schemas.documents import parse_yaml
from schemas.fleet import Fleet


@pytest.mark.parametrize("role", ["researcher", "writer", "editor", "judge"])
def test_its_agents_are_the_templates(role: str) -> None:
    """File by file, without the tests that a new agent gets: who changes one changes the other."""
    made, template = NEWSROOM / "agents" / role, TEMPLATES / role
    files = {path.name for path in made.iterdir()}
    assert files == {path.name for path in template.iterdir()} - {"tests"}
    assert all((made / name).read_bytes() == (template / name).read_bytes() for name in files)


def test_the_rest_is_that_of_the_example() -> None:
    """Its directory and its policy."""
    for name in ("policy.yaml", "agents/directory/agent.yaml", "agents/directory/handler.py"):
        assert (NEWSROOM / name).read_bytes() == (EXAMPLE / name).read_bytes()


def test_it_can_be_brought_up_by_its_name() -> None:
    """Each agent of its fleet file loads; a folder that is there comes before a name of the product's own."""
    assert (fleet_folder(Path("newsroom")), fleet_folder(None)) == (NEWSROOM, EXAMPLE)
    assert fleet_folder(NEWSROOM / "agents") == NEWSROOM / "agents"
    fleet = parse_yaml((NEWSROOM / "fleet.yaml").read_text(), Fleet, "fleet.yaml")
    assert [load_agent(NEWSROOM / "agents" / agent / "agent.yaml").id for agent in fleet.agents] == list(fleet.agents)
