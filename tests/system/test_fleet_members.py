"""`agentbus fleet …` on a fleet that runs as `agentbus up` runs it, by the commands that an operator types."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest

from schemas.approvals import Receipt
from tests.harness.fleet import RunningFleet, free_port, running_fleet
from tests.harness.office import office

_WITNESSES = {"witness-a", "witness-b"}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningFleet]:
    """A small fleet of its own, whose server speaks TLS: its members change."""

    def small(document: dict[str, Any]) -> None:
        document["agents"] = {"greeter": {}}
        document["nats"]["tls"] = True

    with running_fleet(tmp_path_factory.mktemp("members"), small) as running:
        yield running


def _pids(fleet: RunningFleet) -> dict[str, int]:
    return {name: row["pid"] for name, row in fleet.processes().items()}


def test_an_agent_joins_works_and_leaves(fleet: RunningFleet) -> None:
    """It is started with keys of its own, answers, and is stopped; no other process was restarted, and the trail is sound.

    What it leaves behind is said; purged, it is gone, and the agent may come back under its name.
    """
    before = _pids(fleet)
    said = fleet.run("fleet", "add", "agent", "scribe", "--folder", str(fleet.home.live("greeter")), check=False)
    assert said.returncode == 78, "the folder says that it is another agent"
    said = fleet.run("fleet", "add", "agent", "scribe", "--folder", "/etc", check=False)
    assert (said.returncode, "/etc/agent.yaml" in said.stderr) == (78, True)
    assert "scribe" not in _pids(fleet)
    fleet.run("fleet", "add", "agent", "scribe", "--template", "python", "--asks", "greeter")
    answer = fleet.run("ask", "scribe", "--data", '{"numbers": [1, 2, 3]}', check=False)
    assert "agent-scribe" in _pids(fleet)
    assert answer.returncode == 0, answer.stderr
    assert before.items() <= _pids(fleet).items()
    gone = fleet.run("fleet", "remove", "scribe").stdout
    assert f"kept: {fleet.home.state('agent-scribe')}" in gone
    assert _pids(fleet) == before
    assert not (fleet.home.credentials("scribe") / "bus.nk").exists()
    fleet.run("fleet", "add", "agent", "scribe")
    purged = fleet.run("fleet", "remove", "scribe", "--purge", "--yes").stdout
    assert f"removed: {fleet.home.state('agent-scribe')}" in purged
    assert not list(fleet.home.store.glob("jetstream/PARTS/streams/OBJ_scribe"))
    assert fleet.run("audit", "verify").stdout.startswith("sound")
    told = [event["data"]["resource"] for event in fleet.events("member.added")]
    assert told == ["scribe", "scribe"]


async def test_a_proposed_agent_joins_with_the_files_that_were_approved(fleet: RunningFleet, tmp_path: Path) -> None:
    """Approved by two, it is in the repository and nothing of it runs; then an operator lets it join, and it answers."""
    (tmp_path / "agent.yaml").write_text("agent: {id: poet, description: d}\nhandler: handler.py:say\n")
    (tmp_path / "handler.py").write_text(
        "from agents.skill import Context, skill\n\n\n@skill(description='d')\n"
        "async def say(request: str, ctx: Context) -> str:\n    return f'O {request}'\n"
    )
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "handler.pyc").write_bytes(b"\0")
    wanted = ("propose", "--agent", "poet", "--folder", str(tmp_path), "--why", "verse")
    receipt = msgspec.json.decode(fleet.run(*wanted, "--json").stdout, type=Receipt)
    assert receipt.problem == ""
    async with office(fleet.home) as desk:
        await desk.vote(receipt, "reviewer", "second")
        ended = await desk.ended(receipt.proposal)
    assert (ended.state, "agentbus fleet add agent poet" in ended.note) == ("applied", True)
    assert "agent-poet" not in _pids(fleet)
    again = fleet.run(*wanted, check=False)
    assert (again.returncode, "there are files of an agent poet already" in again.stderr) == (1, True)
    fleet.run("fleet", "add", "agent", "poet")
    assert fleet.run("ask", "poet", "rose").stdout == "O rose\n"
    fleet.run("fleet", "remove", "poet")


def test_a_person_joins_with_a_context_and_leaves(fleet: RunningFleet) -> None:
    """A reviewer's context is there while the person is; purging asks, and nobody is there to be asked."""
    fleet.run("fleet", "add", "reviewer", "carol", "--groups", "staff,night")
    context = fleet.home.contexts / "nats" / "context" / "carol.json"
    members = {row["name"]: row for row in json.loads(fleet.run("fleet", "show", "--json").stdout)["members"]}
    assert members["carol"]["may"] == "reads proposals and votes on them, in groups staff, night"
    assert members["carol"]["context"] == str(context)
    refused = fleet.run("fleet", "remove", "carol", "--purge", check=False)
    assert (refused.returncode, "--yes" in refused.stderr) == (78, True)
    fleet.run("fleet", "remove", "carol")
    assert not context.exists()
    assert "carol" not in fleet.run("fleet", "show").stdout


def test_a_witness_joins_and_leaves(fleet: RunningFleet) -> None:
    """Its process runs, the sealer asks it from then on, and no more when it is gone."""
    fleet.run("fleet", "add", "witness", "witness-c")
    assert fleet.processes()["witness-c"]["state"] == "ready"
    assert "witness-c" in fleet.home.seal_policy.read_text()
    fleet.run("fleet", "remove", "witness-c")
    assert "witness-c" not in _pids(fleet)
    assert fleet.run("audit", "verify").stdout.startswith("sound")


def test_keys_are_rotated(fleet: RunningFleet) -> None:
    """The member's process is started again with new keys, everybody else goes on, and the trail names whose they were."""
    before, keys, rekeyed = _pids(fleet), _keys(fleet), len(fleet.events("member.rekeyed"))
    retired = fleet.home.credentials("greeter") / "audit.nk.retired"
    known = retired.read_text().split() if retired.exists() else []
    said = fleet.run("fleet", "rotate", "greeter").stdout
    assert "started again: greeter" in said
    after = _pids(fleet)
    assert {name for name in before if before[name] != after[name]} == {"agent-greeter"}
    assert fleet.run("ask", "greeter", "hello").stdout
    said = fleet.run("fleet", "rotate", "ops").stdout
    assert f"give ops its new key, wherever a copy is: {fleet.home.credentials('ops') / 'bus.nk'}" in said
    assert fleet.run("ask", "greeter", "hello").stdout
    changed = {name for name, found in _keys(fleet).items() if set(found) & set(keys[name]) == set()}
    assert changed == {"greeter", "ops"}
    assert len(retired.read_text().split()) == len(known) + 1
    assert [event["data"]["resource"] for event in fleet.events("member.rekeyed")][rekeyed:] == ["greeter", "ops"]
    assert fleet.run("audit", "verify").stdout.startswith("sound")
    assert fleet.run("fleet", "rotate", check=False).returncode == 78


def test_keys_that_seal_the_trail_are_rotated(fleet: RunningFleet, tmp_path: Path) -> None:
    """The sealer hands over on the trail, which goes on; who has the keys of before is told to have those of now."""
    before, kept, rotated = _pids(fleet), tmp_path / "public", len(fleet.events("key.rotated"))
    shutil.copytree(fleet.home.root / "public", kept)
    said = fleet.run("fleet", "rotate", "sealer").stdout
    assert f"give auditors elsewhere the keys that seal the trail now: {fleet.home.seal_policy}" in said
    after = _pids(fleet)
    assert {name for name in before if before[name] != after[name]} == {"sealer", *_WITNESSES}
    assert [event["data"]["resource"] for event in fleet.events("key.rotated")][rotated:] == ["agentbus/example/audit"]
    assert fleet.run("audit", "verify").stdout.startswith("sound")
    now = fleet.home.seal_policy.read_text()
    fleet.home.seal_policy.write_text((kept / "seal.policy").read_text())
    old = fleet.run("audit", "verify", check=False)
    fleet.home.seal_policy.write_text(now)
    assert (old.returncode, "give you public/seal.policy as it is now" in old.stdout) == (2, True), old.stdout


def test_every_key_is_rotated(fleet: RunningFleet) -> None:
    """All that can be while the fleet runs, the authority too, and what is left is named with its command."""
    before, ca, keys = fleet.processes(), fleet.home.ca.read_bytes(), _keys(fleet)
    said = fleet.run("fleet", "rotate", "--all").stdout
    assert "the store's key, with the fleet stopped: agentbus fleet rotate --store" in said
    assert fleet.home.ca.read_bytes() != ca
    assert {name for name, found in _keys(fleet).items() if set(found) & set(keys[name])} == set()
    assert fleet.processes()["nats-server"]["pid"] == before["nats-server"]["pid"]
    assert fleet.run("ask", "greeter", "hello").stdout
    assert [event["data"]["resource"] for event in fleet.events("key.rotated")][-1] == "authority"
    fleet.run("provision", "--check")
    assert fleet.run("audit", "verify").stdout.startswith("sound")
    wrong = fleet.run("fleet", "rotate", "--ca", "--store", check=False)
    assert (wrong.returncode, "name one member" in wrong.stderr) == (78, True)


def _keys(fleet: RunningFleet) -> dict[str, list[str]]:
    members = json.loads(fleet.run("fleet", "show", "--json").stdout)["members"]
    return {row["name"]: [key["public"] for key in row["keys"]] for row in members}


def test_provisioning_mends_a_fleet_that_runs(fleet: RunningFleet) -> None:
    """What `--check` names is what `agentbus provision` makes again; nobody is restarted by that."""
    before = _pids(fleet)
    (fleet.home.credentials("auditor") / "own.nk").unlink()
    assert "own.nk is missing" in fleet.run("provision", "--check", check=False).stdout
    assert "it runs, by agentbus up" in fleet.run("provision").stdout
    fleet.run("provision", "--check")
    assert fleet.run("audit", "verify").stdout.startswith("sound")
    assert _pids(fleet) == before


def test_a_new_fleet_is_begun_and_never_over_another(fleet: RunningFleet) -> None:
    """What is there stays; a new home holds a fleet of that name, and what cannot be provisioned leaves nothing."""
    there = fleet.run("fleet", "init", "other", check=False)
    assert (there.returncode, "stays as it is" in there.stderr) == (78, True)
    home = fleet.home.root.with_name("fresh")
    taken = str(urlsplit(json.loads(fleet.run("status", "--json").stdout)["url"]).port)
    arguments = ("fleet", "init", "night", "--home", str(home), "--from", "newsroom", "--port")
    assert fleet.run(*arguments, taken, check=False).returncode == 78
    assert not list(home.iterdir())
    fleet.run(*arguments, str(free_port()))
    shown = json.loads(fleet.run("fleet", "show", "--home", str(home), "--json").stdout)
    assert (shown["fleet"], shown["members"][0]["name"]) == ("night", "researcher")
    fleet.run("fleet", "add", "auditor", "external", "--home", str(home))


def test_a_fleet_that_runs_is_provisioned_again(fleet: RunningFleet) -> None:
    """What is missing is made, and the server that runs takes it: here its certificate. No process is started again."""
    before, certificate = _pids(fleet), fleet.home.server_certificate
    certificate.unlink()
    assert "server.pem" in fleet.run("provision", "--check", check=False).stdout
    fleet.run("provision")
    assert certificate.exists()
    assert fleet.run("provision", "--check").stdout.startswith("looked at")
    assert _pids(fleet) == before
    assert fleet.run("ask", "greeter", "hello").stdout
