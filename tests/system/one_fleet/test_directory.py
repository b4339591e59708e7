"""`agentbus agents …` with a fleet in which nothing happens."""

from __future__ import annotations

from agents.demo.stage import eventually
from tests.harness.fleet import RunningFleet
from tests.system.test_directory import _listed


def test_every_agent_is_listed_as_soon_as_the_fleet_is_up(fleet: RunningFleet) -> None:
    """Heartbeats come twice a minute here; the directory called the roll, so it knows all of them now, with cards."""
    eventually(lambda: all(record["skills"] for record in _listed(fleet).values()), "every card is there")
    agents = _listed(fleet)
    assert {agent: record["state"] for agent, record in agents.items()} == dict.fromkeys(
        ("concierge", "directory", "greeter", "textstats"), "ready"
    )
    assert all(len(record["instances"]) == 1 for record in agents.values())


def test_agents_are_found_by_skill_tag_and_words(fleet: RunningFleet) -> None:
    """Each filter finds what has it; no match is exit 1 with a sentence."""
    assert set(_listed(fleet, "--tag", "greeting")) == {"concierge", "greeter"}
    assert set(_listed(fleet, "--skill", "count")) == {"textstats"}
    assert set(_listed(fleet, "--words", "LONGEST words", "--online")) == {"textstats"}
    nothing = fleet.run("agents", "list", "--tag", "nothing", check=False)
    assert nothing.returncode == 1
    assert "no agent matches" in nothing.stderr


def test_the_table_and_the_card_are_readable(fleet: RunningFleet) -> None:
    """`list` prints a row per agent without colours where there is no terminal; `show` the card's words."""
    table = fleet.run("agents", "list").stdout
    assert table.splitlines()[0].split() == ["AGENT", "STATE", "INSTANCES", "VERSION", "HEARD", "SKILLS"]
    assert "\x1b" not in table
    shown = fleet.run("agents", "show", "textstats").stdout
    assert shown.startswith("textstats is ready since ")
    assert "Counts the words and characters of a text." in shown
    unknown = fleet.run("agents", "show", "nobody", check=False)
    assert (unknown.returncode, "it has: concierge" in unknown.stderr) == (78, True)
