"""`agentbus agent new`: templates are agents, and what is made of one is an agent, too."""

from __future__ import annotations

import importlib.util
import io
import json
import unittest
from pathlib import Path

import pytest

from agents.cli.agent.findings import files_of, findings
from agents.cli.agent.new import TEMPLATES, Where, new, show_list, templates
from schemas.documents import parse_yaml
from schemas.errors import InvalidDocument
from schemas.fleet import Fleet

NAMES = sorted(templates())
KEYS = {"ANTHROPIC_API_KEY": "a", "OPENAI_API_KEY": "b"}


def test_there_is_a_template_for_each_thing_that_is_begun_often() -> None:
    """None got lost; each says in one line what it is."""
    assert {
        "basic", "code-reviewer", "customer-support", "data-analyst", "editor", "judge", "python", "researcher",
        "router", "tools", "writer",
    } <= set(NAMES)  # fmt: skip
    assert all(template.meaning.endswith(".") for template in templates().values())


@pytest.mark.parametrize("name", NAMES)
def test_what_is_made_is_an_agent_of_that_name(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is wrong with it, not even a warning where the keys are there; the next steps are said."""
    new("fresh", name, Where(tmp_path))
    found = findings(tmp_path / "fresh", KEYS)
    assert (found.problems, found.told.startswith("agent fresh 1.0.0")) == ((), True)
    printed = capsys.readouterr().out
    assert f"made {tmp_path}/fresh from template {name}: agent.yaml" in printed
    assert f"agentbus agent check {tmp_path}/fresh" in printed
    assert "write into agents of fleet.yaml:  fresh: {" in printed
    assert (tmp_path / "fresh/tests").is_dir()
    assert not list((tmp_path / "fresh").rglob("__pycache__"))
    assert "In fleet.yaml" not in (tmp_path / "fresh/agent.yaml").read_text()


@pytest.mark.parametrize("name", NAMES)
def test_the_tests_of_what_is_made_pass(name: str, tmp_path: Path) -> None:
    """As unittest runs them, where there is no pytest."""
    new("fresh", name, Where(tmp_path))
    (file,) = (tmp_path / "fresh" / "tests").glob("test_*.py")
    spec = importlib.util.spec_from_file_location(f"template_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    said = io.StringIO()
    result = unittest.TextTestRunner(stream=said).run(unittest.TestLoader().loadTestsFromModule(module))
    assert result.testsRun > 0
    assert result.wasSuccessful(), said.getvalue()


@pytest.mark.parametrize(
    ("name", "template", "said"),
    [
        ("Helper", "basic", "is no name for an agent"),
        ("a" * 26, "basic", "is no name for an agent"),
        ("../x", "basic", "is no name for an agent"),
        ("approvals", "basic", "belongs to the product itself"),
        ("helper", "nothing", "there is no template 'nothing'; there are: basic"),
        ("helper", "../cli", "there is no template"),
    ],
)
def test_what_cannot_be_made_is_said(tmp_path: Path, name: str, template: str, said: str) -> None:
    """Names are those that the bus takes, and templates those that are listed."""
    with pytest.raises(InvalidDocument, match=said):
        new(name, template, Where(tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["folder", "empty folder", "file", "link"])
def test_what_is_there_is_never_touched(tmp_path: Path, kind: str) -> None:
    """Also an empty folder may be somebody's."""
    target = tmp_path / "helper"
    if kind == "file":
        target.write_text("mine")
    elif kind == "link":
        target.symlink_to(tmp_path / "nowhere")
    else:
        target.mkdir()
    if kind == "folder":
        (target / "agent.yaml").write_text("mine")
    with pytest.raises(InvalidDocument, match="is there already, and stays as it is"):
        new("helper", "basic", Where(tmp_path))
    assert [path.read_text() for path in tmp_path.rglob("*") if path.is_file()] in (["mine"], [])


def test_in_a_fleets_folder_it_goes_to_the_agents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And the fleet can be started with it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fleet.yaml").write_text("")
    new("helper", "router", Where())
    assert (tmp_path / "agents/helper/agent.yaml").is_file()
    printed = capsys.readouterr().out
    assert "helper: {asks: [directory, greeter], may_propose: false}" in printed
    assert "agentbus up --fleet ." in printed


def test_templates_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """For people a line each, for programs JSON."""
    show_list(as_json=False)
    assert len(capsys.readouterr().out.splitlines()) == len(NAMES)
    show_list(as_json=True)
    assert [row["name"] for row in json.loads(capsys.readouterr().out)] == NAMES


def test_templates_hold_nothing_else() -> None:
    """They are package data: whatever lies there is copied to authors."""
    known = {".yaml", ".md", ".py"}
    files = [path for path in TEMPLATES.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert {path.suffix for path in files} <= known


def test_a_fleet_is_made_around_the_first_agent_and_told_of_the_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All of it is valid; who is not there yet is nobody to ask."""
    where = Where(fleet=tmp_path / "my-fleet")
    for name, template in (("first", "router"), ("second", "basic"), ("third", "tools")):
        new(name, template, where)
    printed = capsys.readouterr().out
    assert (
        f"made {tmp_path}/my-fleet/fleet.yaml and {tmp_path}/my-fleet/policy.yaml, a fleet with this agent" in printed
    )
    assert f"wrote into {tmp_path}/my-fleet/fleet.yaml: second: {{}}" in printed
    assert f"agentbus up --fleet {tmp_path}/my-fleet" in printed
    found = [findings(file, KEYS) for file in files_of(tmp_path / "my-fleet")]
    assert [each.problems for each in found] == [()] * 5
    fleet = parse_yaml((tmp_path / "my-fleet/fleet.yaml").read_text(), Fleet, "fleet.yaml")
    assert (fleet.name, set(fleet.agents)) == ("my-fleet", {"first", "second", "third"})


@pytest.mark.parametrize(
    "text",
    [
        "name: f\nagents: {a: {}}\n",
        "name: f\nagents:\n    a: {}\n",
        "name: f\nagents:\n  helper: {}\n",
        "name: f\nnats: {}\nagent:\n  a: {}\n",
        "not yaml: [",
    ],
)
def test_a_fleet_file_of_another_form_is_left_to_its_author(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    """Nothing is written that could mean something else than that one entry."""
    (tmp_path / "fleet.yaml").write_text(text)
    new("helper", "basic", Where(fleet=tmp_path))
    assert (tmp_path / "fleet.yaml").read_text() == text
    assert f"write into agents of {tmp_path}/fleet.yaml:  helper: {{}}" in capsys.readouterr().out
