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


def test_what_is_wrong_at_the_first_start_can_be_mended(tmp_path: Path) -> None:
    """All of it is said, of the author's own files, and the home takes no copy before it is sound."""
    (source := tmp_path / "my-fleet").mkdir()
    fleet_source(source, port=free_port())
    home = Home(tmp_path / "home")
    files = [source / "agents" / agent / "agent.yaml" for agent in ("greeter", "textstats")]
    before = [file.read_text() for file in files]
    for file, text in zip(files, before, strict=True):
        file.write_text(f"{text}\nbudgt: {{}}\n")
    with pytest.raises(InvalidDocument) as refused:
        ensure_home(home, source)
    assert [f"{file}:" in str(refused.value) for file in files] == [True, True]
    for file, text in zip(files, before, strict=True):
        file.write_text(text)
    policy = (source / "policy.yaml").rename(tmp_path / "policy.yaml")
    with pytest.raises(InvalidDocument, match=r"cannot read .*policy\.yaml"):
        ensure_home(home, source)
    policy.rename(source / "policy.yaml")
    assert "greeter" in ensure_home(home, source).agents
