"""The page on models: its files are read, and its tables are those of the code."""

from __future__ import annotations

import re
from pathlib import Path

from agents.llm.errors import LlmError
from agents.llm.pool.rules import RULES
from agents.runtime.loading.load import load_agent
from schemas.agent import Price
from schemas.agent.model_choice import VENDORS
from schemas.documents import load_yaml
from tests.harness.fleet import CHECKOUT

PAGE = (CHECKOUT / "agents" / "MODELS.md").read_text()
FILE, PRICE = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
NOT_OF_A_MODEL = {"rounds", "all"}


def _rows(heading: str) -> list[list[str]]:
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    return [
        [cell.strip(" `") for cell in line.strip("|").split("|")]
        for line in lines[1 if "`provider`" in lines[0] else 0 :]
    ]


def test_the_agent_on_the_page_loads(tmp_path: Path) -> None:
    """The page's file is an agent's."""
    (tmp_path / "agent.yaml").write_text(FILE)
    section = load_agent(tmp_path / "agent.yaml").file.llm
    assert section is not None
    assert [choice.provider for choice in section.pool] == ["anthropic", "openai", "ollama"]


def test_the_price_on_the_page_is_one() -> None:
    """The page's price is read as it stands."""
    assert Price.model_validate(load_yaml(PRICE, "page")["price"]).rates


def test_every_provider_is_on_the_page() -> None:
    """The table has each provider once, and no other."""
    assert sorted(row[0] for row in _rows("Providers")) == sorted(VENDORS)


def test_every_cause_is_on_the_page_with_its_rule() -> None:
    """The table says of each cause whether the same model is asked again, and whether its breaker counts or opens."""
    rows = {row[0]: row for row in _rows("When a model fails")}
    assert set(rows) == set(RULES) == {kind.cause for kind in LlmError.__subclasses__()} - NOT_OF_A_MODEL
    for cause, rule in RULES.items():
        again, breaker = rows[cause][2:4]
        assert again.startswith("once") == bool(rule.tries_again), cause
        assert breaker.split()[0] == {"nothing": "no", "counts": "counts", "opens": "open"}[rule.breaker], cause
