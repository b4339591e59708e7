"""The fleet file is changed by one entry, and by nothing else."""

from __future__ import annotations

import difflib

import pytest

from agents.home import EXAMPLE, NEWSROOM
from agents.membership.changes import joined, left
from agents.membership.roles import SECTIONS, may, members_of
from schemas.documents import parse_yaml
from schemas.errors import InvalidDocument
from schemas.fleet import Fleet

_TEXT = (EXAMPLE / "fleet.yaml").read_text()
_BLOCKS = """\
name: blocks   # a comment
agents:
  one:
    asks:
      - two   # why
      - three
    may_propose: false
  # about two
  two: {asks: [one]}
  three:
    asks: [two]
operators:
- ops
- night      # sleeps by day
reviewers: {a: {groups: [staff]}, b: {}}
auditors: [auditor]
# the end
"""


def _changes(before: str, after: str) -> list[str]:
    return [line for line in difflib.ndiff(before.splitlines(), after.splitlines()) if line[0] in "+-"]


@pytest.mark.parametrize("text", [_TEXT, (NEWSROOM / "fleet.yaml").read_text(), _BLOCKS, _BLOCKS.rstrip("\n")])
@pytest.mark.parametrize("role", SECTIONS)
def test_one_entry_comes_and_goes(text: str, role: str) -> None:
    """Whatever the style, the file says one member more, then what it said before; every other line is as it was."""
    rights = {"asks": [next(iter(parse_yaml(text, Fleet, "x").agents))]} if role == "agent" else {}
    change = joined(text, "newcomer", role, rights)
    assert members_of(change.fleet)["newcomer"] == role
    assert len([line for line in _changes(text, change.text) if line[0] == "-"]) <= 1
    back = left(change.text, "newcomer")
    assert _changes(text, back.text) == [] or role == "witness"


def test_what_is_written_where() -> None:
    """An entry comes behind the last of its section, before comments of the next."""
    assert _changes(_TEXT, joined(_TEXT, "newcomer", "agent", {"asks": ["greeter"]}).text) == [
        "+   newcomer: {asks: [greeter]}"
    ]
    assert _changes(_BLOCKS, joined(_BLOCKS, "day", "operator", {}).text) == ["+ - day"]
    assert "reviewers: {a: {groups: [staff]}, b: {}, c: {}}" in joined(_BLOCKS, "c", "reviewer", {}).text
    assert "'on': {}" in joined(_TEXT, "on", "reviewer", {}).text  # without quotes it is no name
    assert joined(_BLOCKS, "w", "witness", {}).text.endswith("# the end\nwitnesses: [witness-a, witness-b, w]\n")


def test_who_leaves_is_asked_no_more() -> None:
    """Its name goes out of what others ask, in lists of both styles, and their comments stay."""
    change = left(_BLOCKS, "two")
    assert list(change.fleet.agents) == ["one", "three"]
    assert change.fleet.agents["one"].asks == ("three",)
    assert "asks: []" in change.text
    assert "# about two" in change.text
    assert left(left(_BLOCKS, "a").text, "b").fleet.reviewers == {}
    assert left(left(_BLOCKS, "ops").text, "night").text.count("operators: []") == 1


@pytest.mark.parametrize(
    ("name", "role", "said"),
    [
        ("greeter", "agent", "already: agent"),
        ("greeter", "reviewer", "already: agent"),
        ("applier", "agent", "belong to the product itself"),
        ("Loud", "operator", "operators"),
    ],
)
def test_who_cannot_join_is_refused(name: str, role: str, said: str) -> None:
    """A name that is taken, reserved, or none."""
    with pytest.raises(InvalidDocument, match=said):
        joined(_TEXT, name, role, {})


def test_what_would_lose_something_is_refused() -> None:
    """A file whose text cannot be changed so that it says what was wanted is left to a person, who is told the line."""
    shared = "name: f\nagents: {one: &role {asks: []}, two: *role}\noperators: &people [ops]\nauditors: *people\n"
    with pytest.raises(InvalidDocument):
        joined(shared, "night", "operator", {})
    with pytest.raises(InvalidDocument, match="process of the product itself"):
        left(_TEXT, "applier")
    with pytest.raises(InvalidDocument, match="is not in fleet"):
        left(_TEXT, "stranger")
    same = _BLOCKS + "same_person: [[ops, a]]\n"
    with pytest.raises(InvalidDocument, match="not among them: ops"):
        left(same, "ops")


def test_each_member_has_a_line() -> None:
    """What it may do; the product's own processes too."""
    fleet = parse_yaml(_TEXT, Fleet, "fleet.yaml")
    lines = {name: may(fleet, name) for name in members_of(fleet)}
    assert lines["concierge"] == "answers requests and tasks, asks greeter, textstats"
    assert lines["reviewer"] == "reads proposals and votes on them, in groups staff"
    assert lines["sealer"] == "a process of the product itself"
