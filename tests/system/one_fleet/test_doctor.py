"""`agentbus doctor`: a sound fleet is all well, and each fault that is planted is the one that is named."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from agents.doctor import Examined, Level, examine
from agents.observing import Place, Runner
from agents.people import fleet_of
from approvals.applying.release import live_tree, switch
from bus.credentials import create_credential
from bus.provision.contexts import context_of
from bus.provision.provision import write_files
from bus.surroundings import Home
from schemas import names
from tests.harness.fleet import RunningFleet

_OF_THIS_MACHINE = frozenset({"clock"})
"""Checks that tell of the machine, whatever the fleet is."""
_LEFT_OUT = shutil.ignore_patterns("jetstream", "run", "log")


@dataclass(frozen=True, slots=True)
class Fault:
    """What is broken in a copy of the home, and which checks say so; all others find what they found before."""

    name: str
    plant: Callable[[Home], None]
    checks: frozenset[str]
    says: str
    environment: tuple[tuple[str, str], ...] = ()


def _release(home: Home, agent: str) -> Path:
    folder = home.release(agent, live_tree(home, agent))
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755)
    return folder


def _key_in_the_open(home: Home) -> None:
    (home.credentials("ops") / names.BUS_CREDENTIAL).chmod(0o644)


def _key_gone(home: Home) -> None:
    (home.credentials("greeter") / names.OWN_CREDENTIAL).unlink()


def _no_key(home: Home) -> None:
    (home.credentials("greeter") / names.OWN_CREDENTIAL).write_text("SUNOTHING\n")


def _another_key(home: Home) -> None:
    path = home.credentials("ops") / names.BUS_CREDENTIAL
    path.unlink()
    create_credential(path)


def _open_to_all(home: Home) -> None:
    home.state(names.APPLIER).chmod(0o777)


def _no_store_key(home: Home) -> None:
    home.store_key.unlink()


def _no_fleet(home: Home) -> None:
    (home.repository / "HEAD").unlink()


def _no_history(home: Home) -> None:
    shutil.rmtree(home.repository / "objects")


def _changed_release(home: Home) -> None:
    (_release(home, "textstats") / "handler.py").write_text("SKILLS = []\n")


def _other_release(home: Home) -> None:
    switch(home, "greeter", live_tree(home, "textstats"))


def _unusable_agent(home: Home) -> None:
    (_release(home, "textstats") / "agent.yaml").write_text("agent: 5\n")


def _one_port_for_two(home: Home) -> None:
    for agent in ("greeter", "textstats"):
        file = _release(home, agent) / "agent.yaml"
        file.write_text(f"{file.read_text()}\nhttp: {{health_port: 8080}}\n")


def _without_model(home: Home) -> None:
    file = _release(home, "greeter") / "agent.yaml"
    kept = [line for line in file.read_text().splitlines() if "provider: offline" not in line]
    file.write_text("\n".join(kept) + "\n")


def _spool_that_grows(home: Home) -> None:
    os.truncate(home.state("agent-greeter") / "audit" / "spool", 2**25)


def _old_checkpoint(home: Home) -> None:
    path = home.state(names.SEALER) / "checkpoint"
    os.utime(path, (time.time() - 3600,) * 2)


def _forged_checkpoint(home: Home) -> None:
    path = home.state(names.SEALER) / "checkpoint"
    path.write_bytes(path.read_bytes().replace(b"\n\n", b"\nextension\n\n", 1))


def _missing_cosignature(home: Home) -> None:
    path = home.state(names.SEALER) / "checkpoint"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(line for line in lines if "witness-b" not in line.decode()))


def _foreign_policy(home: Home) -> None:
    home.seal_policy.write_text("log nobody\n")


def _unknown_users(home: Home) -> None:
    home.user_keys.write_text("{}")


def _changed_server(home: Home) -> None:
    home.server_config.write_text(
        home.server_config.read_text().replace('sync_interval: "always"', 'sync_interval: "1m"')
    )


def _changed_context(home: Home) -> None:
    path = context_of(home, "reviewer")
    path.write_text(path.read_text().replace("127.0.0.1", "127.0.0.2"))


def _gone(home: Home) -> None:
    (home.root / "run").unlink()


FAULTS = (
    Fault("a key that others can read", _key_in_the_open, frozenset({"provisioned", "reachable"}), "too many may use it"),
    Fault("a key that is gone", _key_gone, frozenset({"provisioned"}), "is missing or holds no key"),
    Fault("a key file without a key", _no_key, frozenset({"provisioned"}), "is missing or holds no key"),
    Fault("a key that the server does not know", _another_key, frozenset({"provisioned", "reachable"}), "is not taken by the running server"),
    Fault("a folder that everybody can write", _open_to_all, frozenset({"modes"}), "everybody can write"),
    Fault("no key of the store", _no_store_key, frozenset({"provisioned"}), "the key of the store"),
    Fault("no fleet", _no_fleet, frozenset({"fleet"}), "there is no fleet"),
    Fault("a repository without its objects", _no_history, frozenset({"fleet"}), "cannot be used"),
    Fault("a release that was changed on disk", _changed_release, frozenset({"digests"}), "changed on disk"),
    Fault("a live link to something else", _other_release, frozenset({"digests", "agents"}), "is in force"),
    Fault("an agent's file that cannot be used", _unusable_agent, frozenset({"digests", "agents"}), "would not start"),
    Fault("two agents with one port", _one_port_for_two, frozenset({"digests", "ports"}), "port 8080 is wanted twice"),
    Fault("an agent without any model", _without_model, frozenset({"digests", "access"}), "no model that it can use"),
    Fault("a spool that does not empty", _spool_that_grows, frozenset({"spools"}), "has not taken"),
    Fault("a sealer that sleeps", _old_checkpoint, frozenset({"checkpoint"}), "are not sealed"),
    Fault("a checkpoint that nobody signed", _forged_checkpoint, frozenset({"checkpoint"}), "not a checkpoint"),
    Fault("a witness that does not cosign", _missing_cosignature, frozenset({"checkpoint"}), "witness-b did not cosign"),
    Fault("a policy of another log", _foreign_policy, frozenset({"checkpoint", "provisioned"}), "policy"),
    Fault("public keys that are gone", _unknown_users, frozenset({"provisioned"}), "is not what the fleet file and the keys make it"),
    Fault("a server's configuration that was changed", _changed_server, frozenset({"provisioned"}), "is not what the fleet file"),
    Fault("a context that leads elsewhere", _changed_context, frozenset({"provisioned"}), "is not what the fleet file"),
    Fault("no fleet that runs", _gone, frozenset({"running"}), "no fleet runs"),
    Fault("a server that is no server", lambda _: None, frozenset({"nats-server-version"}), "not a nats-server", (("NATS_SERVER", "/bin/true"),)),
)  # fmt: skip


@pytest.fixture
def copy(fleet: RunningFleet, tmp_path: Path) -> Home:
    """The fleet's home once more: its server and its processes are the running ones, its files can be spoiled."""
    fleet.run("ask", "greeter", "hello")
    wait_for_a_seal(fleet)
    shutil.copytree(fleet.home.root, tmp_path / "home", symlinks=True, ignore=_LEFT_OUT)
    home = Home(tmp_path / "home")
    (home.root / "run").symlink_to(fleet.home.root / "run")
    home.store.symlink_to(fleet.home.store)
    write_files(fleet_of(home), home)  # what names the home itself
    return home


def wait_for_a_seal(fleet: RunningFleet) -> None:
    """There is a checkpoint that every witness cosigned."""
    path = fleet.home.state(names.SEALER) / "checkpoint"
    deadline = time.monotonic() + 60
    while not (path.exists() and all(witness in path.read_text() for witness in ("witness-a", "witness-b"))):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def found_in(home: Home) -> list[Examined]:
    """What the doctor finds there."""

    async def all_of_it() -> list[Examined]:
        place = Place(home=home, runner=Runner.SUPERVISOR, environment=dict(os.environ), now_s=time.time())
        return [each async for each in examine(place)]

    return asyncio.run(all_of_it())


def bad(found: list[Examined]) -> dict[str, str]:
    """The checks that found something, and what they said."""
    amiss = [each for each in found if each.finding.level is not Level.OK]
    return {each.check: each.finding.says for each in amiss if each.check not in _OF_THIS_MACHINE}


def test_a_sound_fleet_is_all_well(fleet: RunningFleet, copy: Home) -> None:
    """By the command, for people and for machines; every check has said something."""
    done = fleet.run("doctor")
    assert done.stdout.endswith(" 0 wrong\n")
    told = json.loads(fleet.run("doctor", "--json").stdout)["findings"]
    assert {each["level"] for each in told if each["check"] not in _OF_THIS_MACHINE} == {"ok"}
    assert bad(found_in(copy)) == {}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_named(fault: Fault, copy: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the checks that are about it, with what to do, and by no other."""
    fault.plant(copy)
    for name, value in fault.environment:
        monkeypatch.setenv(name, value)
    found = found_in(copy)
    assert set(bad(found)) == fault.checks
    assert any(fault.says in says for says in bad(found).values())
    assert all(each.finding.fix for each in found if each.finding.level is not Level.OK)


def test_the_command_ends_with_one(fleet: RunningFleet, tmp_path: Path) -> None:
    """Where something is wrong; a home that is not there is that."""
    done = fleet.run("doctor", "--home", str(tmp_path / "nothing"), "--quiet", check=False)
    assert done.returncode == 1
    assert "there is no fleet" in done.stdout
    assert "→ agentbus fleet init" in done.stdout
