"""`agentbus --help` lists each command, in one section."""

from __future__ import annotations

from itertools import chain

from typer.main import get_command
from typer.testing import CliRunner

from agents.cli.app import app
from agents.cli.sections import SECTIONS, Sectioned


def test_each_command_is_in_one_section() -> None:
    """A new command that no section names would not be found."""
    group = get_command(app)
    assert isinstance(group, Sectioned)
    assert sorted(chain(*SECTIONS.values())) == sorted(group.commands)


def test_help_shows_them_all() -> None:
    """Each with what it does, within 80 columns."""
    said = CliRunner().invoke(app, ["--help"], terminal_width=80).output
    lines = [line for line in said.splitlines() if line.startswith("  ")]
    for name in chain(*SECTIONS.values()):
        assert any(line.split()[:1] == [name] and len(line.split()) > 2 for line in lines), name
    assert all(f"{title}:" in said for title in SECTIONS)
    assert max(map(len, said.splitlines())) <= 80
