"""What each process of `agentbus up` is given."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.home import EXAMPLE, ensure_home
from agents.supervisor.fleet_processes import commands
from bus.surroundings import Home


def test_a_key_goes_to_the_agent_whose_file_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables with keys reach the agents that refer to them; other agents and the services do not get them."""
    monkeypatch.setenv("OPENAI_API_KEY", "k-1")
    monkeypatch.setenv("UNRELATED_API_KEY", "k-2")
    home = Home(tmp_path / "home")
    fleet = ensure_home(home, EXAMPLE)
    given = {command.name: command.environment for stage in commands(fleet, home, "nats://x") for command in stage}
    assert [name for name, environment in given.items() if "OPENAI_API_KEY" in environment] == ["agent-greeter"]
    assert not any("UNRELATED_API_KEY" in environment for environment in given.values())
    assert {environment["AGENTBUS_NATS_URL"] for environment in given.values()} == {"nats://x"}
