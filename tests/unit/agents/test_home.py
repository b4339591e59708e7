"""Making a fleet's home from a folder of files."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.home import ensure_home
from bus.surroundings import Home
from schemas.errors import InvalidDocument
from tests.harness.fleet import fleet_source, free_port


def test_the_folder_may_be_named_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`agentbus up --fleet ./my-fleet`: a path from where the command is typed is as good as any."""
    (tmp_path / "my-fleet").mkdir()
    fleet_source(tmp_path / "my-fleet", port=free_port())
    monkeypatch.chdir(tmp_path)
    assert "greeter" in ensure_home(Home(tmp_path / "home"), Path("my-fleet")).agents


def test_a_folder_that_is_no_fleet_is_named(tmp_path: Path) -> None:
    """The error says what is missing."""
    with pytest.raises(InvalidDocument, match=r"has no fleet\.yaml"):
        ensure_home(Home(tmp_path / "home"), tmp_path)
