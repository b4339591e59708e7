"""A running fleet changes itself: what is approved goes live, what is bad goes back, what is broken is looked at."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import yaml

from approvals.applying.control import ask_supervisor
from approvals.change.propose import Edit
from schemas.approvals import Receipt
from tests.harness.fleet import RunningFleet, running_fleet, until
from tests.harness.office import Office, office, swift

pytestmark = pytest.mark.timeout(300)

REVIEWERS = {"reviewer": {"groups": ["staff"]}, "second": {"groups": ["staff"]}}
HANDLER = "textstats"


def _two_of_textstats(fleet: dict[str, Any]) -> None:
    fleet["reviewers"] = REVIEWERS
    fleet["agents"]["textstats"] = {"instances": 2}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningFleet]:
    """The example fleet with two reviewers, two instances of textstats, and a short health window."""
    with running_fleet(tmp_path_factory.mktemp("fleet"), _two_of_textstats, swift) as running:
        yield running


@pytest.fixture
async def desk(fleet: RunningFleet) -> AsyncIterator[Office]:
    """Everybody of the fleet."""
    async with office(fleet.home) as opened:
        yield opened


async def approved(desk: Office, data: bytes, by: str = "ops") -> str:
    """Propose and have both reviewers approve; the proposal's id."""
    receipt = await desk.propose(data, by)
    assert receipt.problem == ""
    answers = await desk.vote(receipt, "reviewer", "second")
    assert answers[-1].startswith("OK ") or "nothing left to decide" in answers[-1], answers
    return receipt.proposal


async def asked(fleet: RunningFleet, agent: str, text: str) -> str:
    """What an agent answers to an operator."""
    done = await asyncio.to_thread(fleet.run, "ask", agent, "--data", f'{{"text": "{text}"}}', check=False)
    return (done.stdout + done.stderr).strip()


async def test_code_that_crashes_goes_back(fleet: RunningFleet, desk: Office) -> None:
    """An instance that does not come up is put back, the other one never left, and the reason is on record."""
    before = desk.git.tree_of_agent(HANDLER)
    crash = Edit("handler.py", "", "import os\nif not os.environ.get('PYTHONDONTWRITEBYTECODE'):\n    os._exit(3)\n")
    folder = desk.home.live(HANDLER).resolve()
    code = crash.replace + (folder / "handler.py").read_text()
    proposal = await approved(desk, desk.proposal(HANDLER, [Edit("handler.py", "", code)]))
    ended = await desk.ended(proposal)
    assert (ended.state, desk.git.tree_of_agent(HANDLER)) == ("rolled_back", before)
    assert ended.note
    assert '"words": 2' in await asked(fleet, HANDLER, "one two")


async def test_code_whose_tests_fail_is_never_live(desk: Office) -> None:
    """The checks close it before anybody is asked, with what they said."""
    failing = "import unittest\n\n\nclass T(unittest.TestCase):\n    def test(self):\n        self.fail('no')\n"
    receipt = await desk.propose(desk.proposal(HANDLER, [Edit("tests/test_it.py", "", failing)]))
    ended = await desk.ended(receipt.proposal)
    assert ended.state == "refused"
    assert "1" in ended.note


async def test_callers_see_no_outage_with_two_instances(fleet: RunningFleet, desk: Office) -> None:
    """While both instances are restarted one after the other every request is answered."""
    folder = desk.home.live(HANDLER).resolve()
    code = (folder / "handler.py").read_text() + "\nCHANGED = True\n"
    answers: list[str] = []
    is_over = asyncio.Event()

    async def ask() -> None:
        while not is_over.is_set():
            answers.append(await asked(fleet, HANDLER, "one two three"))

    asking = asyncio.create_task(ask())
    proposal = await approved(desk, desk.proposal(HANDLER, [Edit("handler.py", "", code)]))
    assert (await desk.ended(proposal)).state == "applied"
    is_over.set()
    await asking
    assert [answer for answer in answers if '"words": 3' not in answer] == []
    assert len(answers) > 3


async def test_authority_is_in_force_when_it_is_applied(fleet: RunningFleet, desk: Office) -> None:
    """The greeter may not ask textstats; after two reviewers approve, the server lets it, and nobody restarted it."""
    path = "fleet.yaml"
    text = desk.git.file("main", path)
    assert text is not None
    document = yaml.safe_load(text)
    document["agents"]["greeter"]["asks"] = ["textstats"]
    changed = yaml.safe_dump(document, sort_keys=False).encode()
    before = {name: row["pid"] for name, row in fleet.processes().items()}
    data = desk.fleet_proposal({path: changed}, agent="greeter", kind="authority")
    receipt = await desk.propose(data, by="greeter")
    assert receipt.problem == ""
    (one,) = await desk.vote(receipt, "reviewer")
    assert "1 of 2 approvals; the proposal is open" in one
    await desk.vote(receipt, "second")
    assert (await desk.ended(receipt.proposal)).state == "applied"
    assert {name: row["pid"] for name, row in fleet.processes().items()} == before
    configuration = fleet.home.server_config.read_text()
    assert "a2a.v1.req.textstats.greeter.*" in configuration
    (changed_rules,) = [e for e in fleet.events("policy.changed") if e["data"]["action"] == "approved"]
    assert changed_rules["data"]["resource"] == receipt.proposal


async def test_a_halt_stops_at_once_and_a_veto_lifts_it(fleet: RunningFleet, desk: Office) -> None:
    """The agent is down until a reviewer says no to the halt; all of it is on the trail, loudly."""
    done = await asyncio.to_thread(fleet.run, "break-glass", "halt", HANDLER, "--why", "a test", "--json")
    standing = json.loads(done.stdout)
    receipt = Receipt(proposal=standing["proposal"], digest=standing["digest"])
    assert standing["state"] == "in_force"
    assert "nobody serves" in await asked(fleet, HANDLER, "one")
    await desk.vote(receipt, "reviewer", verb="reject")
    assert (await desk.ended(receipt.proposal)).state == "overturned"
    assert '"words": 1' in await asked(fleet, HANDLER, "one")
    (broken,) = fleet.events("glass.broken")
    assert (broken["data"]["action"], broken["severitytext"]) == ("halt", "ERROR")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("halt", "nobody", "--why", "a test"), 1, "there is no agent nobody"),
        (("halt", HANDLER), 78, "say why"),
        (("revert", HANDLER, "--why", "a test", "--for", "soon"), 78, "--for 'soon' is no time"),
    ],
)
async def test_glass_is_not_broken_by_mistake(
    fleet: RunningFleet, arguments: tuple[str, ...], code: int, said: str
) -> None:
    """What cannot be done is refused with advice."""
    done = await asyncio.to_thread(fleet.run, "break-glass", *arguments, check=False)
    assert done.returncode == code
    assert said in done.stderr


async def test_a_revert_is_confirmed_or_undone(fleet: RunningFleet, desk: Office) -> None:
    """The release before is live and on the branch; two reviewers let it stay; of another one the time runs out."""
    present = desk.git.tree_of_agent(HANDLER)
    receipt = await desk.break_glass("revert", HANDLER)
    await desk.in_state(receipt.proposal, "in_force")
    before = desk.git.tree_of_agent(HANDLER)
    assert before != present
    await desk.vote(receipt, "reviewer", "second")
    assert (await desk.ended(receipt.proposal)).state == "confirmed"
    again = await desk.break_glass("revert", HANDLER, lasts_s=3)
    await desk.in_state(again.proposal, "overturned")
    assert desk.git.tree_of_agent(HANDLER) == before
    assert '"words": 1' in await asked(fleet, HANDLER, "one")


async def test_drift_is_found(fleet: RunningFleet, desk: Office) -> None:
    """A live link that somebody moved is told on the trail at the applier's next look, which its start is."""
    link = desk.home.live("greeter")
    good = link.readlink()
    other = next(path for path in desk.home.release("textstats", "x").parent.iterdir())
    link.unlink()
    link.symlink_to(other)
    await asyncio.to_thread(_restart_applier, fleet)

    async def told() -> list[dict[str, Any]]:
        return await asyncio.to_thread(fleet.events, "release.drifted")

    (event,) = await until(told, timeout_s=30, every_s=0.5)
    assert event["data"]["resource"] == "greeter"
    link.unlink()
    link.symlink_to(good)


def _restart_applier(fleet: RunningFleet) -> None:
    asyncio.run(ask_supervisor(fleet.home.socket, {"command": "restart", "process": "applier"}))
