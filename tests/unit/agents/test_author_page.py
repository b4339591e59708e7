"""The page on agents in detail: its code is loaded as an agent would be."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agents.runtime.loading.load import card_of, load_agent
from schemas.a2a import TYPED_SKILLS_URI
from schemas.agent import AgentFile, CallerLimits, Limits
from schemas.documents import parse_yaml
from schemas.errors import InvalidDocument
from tests.harness.fleet import CHECKOUT


def _blocks(language: str) -> list[str]:
    page = (CHECKOUT / "agents" / "SKILLS.md").read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def _block(language: str, containing: str) -> str:
    return next(block for block in _blocks(language) if containing in block)


def test_the_skill_on_the_page_is_an_agent(tmp_path: Path) -> None:
    """The page's handler and file, put in a folder, load; the card carries the schemas of its types."""
    (tmp_path / "handler.py").write_text(_blocks("python")[0])
    (tmp_path / "agent.yaml").write_text(_blocks("yaml")[0])
    agent = load_agent(tmp_path / "agent.yaml")
    card = card_of(agent, "tree", "instance")
    typed = next(extension for extension in card.capabilities.extensions if extension.uri == TYPED_SKILLS_URI)
    assert set(typed.params["skills"]["count"]) == {"input", "output"}


def test_the_other_skills_on_the_page_are_an_agent_too(tmp_path: Path) -> None:
    """The page's second handler loads; its story streams, and the rest do not."""
    (tmp_path / "handler.py").write_text(_blocks("python")[1])
    (tmp_path / "agent.yaml").write_text(_blocks("yaml")[0].replace("handler.py:count", "handler.py:SKILLS"))
    agent = load_agent(tmp_path / "agent.yaml")
    assert {skill.id: skill.is_streaming for skill in agent.skills} == {"story": True, "order": False, "walk": False}


def test_the_lifespan_on_the_page_stands_beside_a_skill(tmp_path: Path) -> None:
    """The page's lifespan is taken from the handler's list; it is no skill, and alone it is no agent."""
    (tmp_path / "handler.py").write_text(
        f"{_blocks('python')[0]}\n{_block('python', '@lifespan')}\nparts = [count, listening]\n"
    )
    (tmp_path / "agent.yaml").write_text(_blocks("yaml")[0].replace("handler.py:count", "handler.py:parts"))
    agent = load_agent(tmp_path / "agent.yaml")
    assert ([skill.id for skill in agent.skills], len(agent.lifespans)) == (["count"], 1)
    (tmp_path / "agent.yaml").write_text(_blocks("yaml")[0].replace("handler.py:count", "handler.py:listening"))
    with pytest.raises(InvalidDocument, match="not a function decorated with @skill"):
        load_agent(tmp_path / "agent.yaml")


def test_the_typed_model_on_the_page_publishes_its_schemas(tmp_path: Path) -> None:
    """The card of the page's third file carries what the file declares."""
    (tmp_path / "agent.yaml").write_text(_block("yaml", "id: judge"))
    card = card_of(load_agent(tmp_path / "agent.yaml"), "tree", "instance")
    typed = next(extension for extension in card.capabilities.extensions if extension.uri == TYPED_SKILLS_URI)
    assert typed.params["skills"]["judge"]["output"]["required"] == ["points"]


def test_the_model_agent_on_the_page_is_valid() -> None:
    """The page's second file is a valid agent with three models."""
    file = parse_yaml(_block("yaml", "id: helper"), AgentFile, "page")
    assert file.llm is not None
    assert [choice.provider for choice in file.llm.pool] == ["anthropic", "openai", "offline"]


def test_the_limits_on_the_page_are_the_defaults() -> None:
    """What the page gives as the default is what a file without `limits` gets; only the callers are an example."""
    agent = "agent: {id: counter, description: Counts words.}\nhandler: handler.py:count\n"
    file = parse_yaml(agent + _block("yaml", "limits:"), AgentFile, "page")
    assert file.limits.callers["ops"] == CallerLimits(requests_per_s=100, burst=200)
    assert file.limits.model_copy(update={"callers": {}}) == Limits()
