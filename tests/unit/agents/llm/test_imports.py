"""What importing the model layer costs, and what is said where a provider's package is missing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[4]
_IMPORT = """
import sys
import agents.llm, agents.llm.pool, agents.llm.providers.openai, agents.llm.providers.anthropic
from agents.llm import Pool
from schemas.agent import ModelChoice
{more}
print(sorted({{"openai", "anthropic", "httpx2", "nats"}} & set(sys.modules)))
"""
_OFFLINE = """
import asyncio
from agents.llm import Completion, SystemPrompt, UserTurn
from schemas.agent import Llm
choice = ModelChoice(provider="offline")
prompt = SystemPrompt(Llm(system_prompt="Style: formal", pool=(choice,)))
answer = asyncio.run(Pool.from_choices([choice]).complete(Completion(system=prompt, turns=(UserTurn(text="hi"),))))
assert answer.model == "offline", answer
"""
_KEYED = """
Pool.from_choices([ModelChoice(provider=name, model="m", api_key="env:PATH_KEY") for name in ("openai", "anthropic")],
                  environment={"PATH_KEY": "sk-x"})
"""


def _run(code: str) -> str:
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=_ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize("more", ["", _OFFLINE, _KEYED], ids=["import", "offline", "made but not asked"])
def test_no_client_is_imported_before_it_is_needed(more: str) -> None:
    """Importing the layer, answering offline and making a pool load no vendor's client and no HTTP client."""
    assert _run(_IMPORT.format(more=more)) == "[]"


@pytest.mark.parametrize(("name", "kind"), [("openai", "OpenAIProvider"), ("anthropic", "AnthropicProvider")])
def test_missing_package_names_the_extra(name: str, kind: str) -> None:
    """Without the package, the error says which extra to install."""
    code = f"""
import sys
sys.modules["{name}"] = None  # what an import finds where the package is not installed
from agents.llm.providers.{name} import {kind}
from agents.llm import ExtraMissing, Settings
try:
    {kind}(Settings(model="m", max_tokens=1))
except ExtraMissing as error:
    print(error)
"""
    assert f"pip install 'agentbus[{name}]'" in _run(code)
