"""The story of a change, what was in force when, and what has no end: on the trail of a running fleet."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from agents.demo.stage import Stage, eventually, find_nats
from approvals.git import Git
from approvals.repository import rules_in_force
from bus.provision.members import server_url
from tests.harness.fleet import RunningFleet, running_fleet
from tests.harness.office import swift


class Played(NamedTuple):
    """What happened before the tests look: one proposal was rejected, then one applied."""

    fleet: RunningFleet
    applied: str
    digest: str
    rejected: str
    before: str


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    """A fleet whose greeter has changed."""
    with running_fleet(tmp_path_factory.mktemp("cases"), prepare=swift) as fleet:
        stage = Stage(fleet.home, server_url(rules_in_force(Git(fleet.home.repository)).fleet, fleet.home), find_nats())
        before = datetime.datetime.now(datetime.UTC).isoformat()
        rejected, _ = _proposed(fleet, stage)
        assert stage.req("reviewer", "approvals.reject", f"{rejected} not now").startswith("OK ")
        applied, digest = _proposed(fleet, stage)
        assert stage.req("reviewer", "approvals.approve", f"{applied} {digest} looks right").startswith("OK ")
        eventually(lambda: "is applied" in stage.req("reviewer", "approvals.history", applied), "it is applied")
        eventually(lambda: _greeting(fleet).startswith("Good day"), "it greets formally")
        eventually(lambda: bool(fleet.events("apply.applied")), "it is on the trail")
        yield Played(fleet, applied, digest, rejected, before)


def _greeting(fleet: RunningFleet) -> str:
    return fleet.run("ask", "greeter", "hello", check=False).stdout


def _proposed(fleet: RunningFleet, stage: Stage) -> tuple[str, str]:
    found = re.search(r"p-[a-z2-7]{8}", fleet.run("ask", "greeter", "please be more formal").stdout)
    assert found
    shown = stage.req("reviewer", "approvals.show", found[0])
    digest = re.search(r"^digest ([0-9a-f]{64})$", shown, re.MULTILINE)
    assert digest, shown
    return found[0], digest[1]


def test_the_story_of_an_applied_change(played: Played) -> None:
    """Who proposed it from what, who read it, who voted what with which words, what the applier did, the commit."""
    shown = played.fleet.run("audit", "why", played.applied).stdout
    for words in (
        f"{played.applied}: ", "of greeter, applied", f"digest  {played.digest}", "agent.yaml", "ops asked SendMessage",
        "greeter sent it", "recorded for review", "shown to reviewer", "reviewer: approve; 1 of 1 approve: looks right",
        "decided: approved", "about to: switch", "applied: healthy", "Approved-by: reviewer",
    ):  # fmt: skip
        assert words in shown, shown
    steps = [line.split()[0] for line in shown.splitlines() if re.match(r"\d{4}-", line)]
    assert steps == sorted(steps)
    correlation = re.search(r"--tree (\S+)", shown)
    assert correlation
    tree = played.fleet.run("audit", "replay", "--tree", correlation[1]).stdout
    assert "tool propose_change: ok" in tree
    # between these steps the sandbox's check may end
    story = rf"proposal greeter/{played.applied}: sent, .*made, .*shown to reviewer, .*approve by"
    assert re.search(story, " ".join(tree.replace("│", " ").split())), tree


def test_the_story_of_a_rejected_change(played: Played) -> None:
    """As JSON: its state, the vote's reason, and no commit; an unknown id is exit 1, nonsense 78."""
    (story,) = json.loads(played.fleet.run("audit", "why", played.rejected, "--json").stdout)
    assert (story["state"], story["record"]["commit"]) == ("rejected", "")
    assert ("proposal.voted", "not now") in {(step["type"], step["reason"]) for step in story["steps"]}
    assert played.fleet.run("audit", "why", "p-aaaaaaaa", check=False).returncode == 1
    wrong = played.fleet.run("audit", "why", "greeter", check=False)
    assert (wrong.returncode, "p-7q2fabcd" in wrong.stderr) == (78, True)


def test_what_was_in_force_before_and_after(played: Played) -> None:
    """The greeter's tree is another one after the change, which is named; nothing waits; the rules are named."""
    before = json.loads(played.fleet.run("audit", "state", "--at", played.before, "--json").stdout)
    after = json.loads(played.fleet.run("audit", "state", "--json").stdout)
    (old,) = (one for one in before["processes"] if one["agent"] == "greeter")
    (new,) = (one for one in after["processes"] if one["agent"] == "greeter")
    assert old["state"] == new["state"] == "serving"
    assert old["tree"] != new["tree"]
    assert (old["proposal"], new["proposal"]) == ("", played.applied)
    assert new["tree"] == Git(played.fleet.home.repository).tree_of_agent("greeter")
    assert before["policy"] == after["policy"] != ""
    assert after["proposals"] == []
    shown = played.fleet.run("audit", "state").stdout
    assert re.search(rf"greeter +0 +serving +{new['tree'][:12]} .*{played.applied}", shown)
    read = re.search(r"read one: git -C (\S+) show ([0-9a-f]{12}):agent.yaml", shown)
    assert read
    assert b"Style: formal" in Git(Path(read[1])).run("show", f"{new['tree'][:12]}:agent.yaml")
    assert json.loads(played.fleet.run("audit", "state", "--at", "1h", "--json").stdout)["processes"] == []


def test_everything_has_an_end(played: Played) -> None:
    """A fleet that nothing happened to has no orphans, nor is one what waits for its time: exit 0, an empty list."""
    played.fleet.run("tasks", "add", "greeter", "hello", "--in", "1h")
    eventually(lambda: bool(played.fleet.events("task.scheduled")), "it is put off")

    def is_clean() -> bool:
        done = played.fleet.run("audit", "orphans", "--older", "0s", "--json", check=False)
        return (done.returncode, json.loads(done.stdout)) == (0, [])

    eventually(is_clean, "everything has an end")
    of_one = ("audit", "orphans", "--agent", "greeter", "--older", "0s")  # others tell how its proposals ended
    assert played.fleet.run(*of_one).stdout == "everything that was begun has an end\n"
    assert played.fleet.run("audit", "orphans").stdout == "everything that was begun has an end\n"
