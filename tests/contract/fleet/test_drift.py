"""`agentbus provision --check`: each thing that is otherwise than provisioned is named, and nothing is touched."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

from bus.credentials import create_credential
from bus.jetstream import call
from bus.provision.drift.files import generated, keys_of
from bus.provision.members import servers_of
from bus.provision.provision import write_files
from bus.provision.server_config import server_config
from bus.surroundings import Home
from schemas import names
from schemas.fleet import Fleet
from tests.harness.admin import administrators, files_below
from tests.harness.command import agentbus
from tests.harness.fleet import Bench


def _check(home: Home, *arguments: str) -> subprocess.CompletedProcess[str]:
    return agentbus("provision", "--check", "--home", home.root, *arguments)


def _drift(home: Home) -> list[tuple[str, str, str]]:
    found = json.loads(_check(home, "--json").stdout)["drift"]
    assert all(one["fix"] for one in found)
    return [(one["kind"], Path(one["what"]).name, one["says"]) for one in found]


def _of_files(fleet: Fleet, home: Home) -> list[tuple[str, str, str]]:
    looked, keys = keys_of(fleet, home)
    found = looked.found if keys is None else (looked + generated(fleet, home, keys)).found
    assert all(one.fix for one in found)
    return [(one.kind, Path(one.what).name, one.says) for one in found]


def _without_store(home: Home) -> dict[str, bytes]:
    return {
        path: data for path, data in files_below(home.root).items() if "jetstream" not in path and "log/" not in path
    }


_FAULTS: dict[str, tuple[Callable[[Home], object], str, str, str]] = {
    "a key is gone": (lambda home: _key(home, "greeter").unlink(), "key", "bus.nk", "is missing"),
    "a key is none": (lambda home: _key(home, "greeter").write_text("x"), "key", "bus.nk", "holds no key"),
    "others read a key": (lambda home: _key(home, "ops").chmod(0o640), "key", "bus.nk", "has mode 640"),
    "others write where a key is": (
        lambda home: _key(home, "ops").parent.chmod(0o722), "key", "ops", "has mode 722",
    ),
    "a key of nobody": (lambda home: create_credential(_key(home, "stranger")), "key", "bus.nk", "is of nobody"),
    "the store's key is gone": (lambda home: home.store_key.unlink(), "key", "store.env", "is missing"),
    "the configuration was changed": (
        lambda home: _replace(home.server_config, "max_subscriptions: 256", "max_subscriptions: 0"),
        "file", "nats-server.conf", "is not what the fleet file",
    ),
    "others write the configuration": (
        lambda home: home.server_config.chmod(0o666), "file", "nats-server.conf", "has mode 666",
    ),
    "the packet filter was changed": (
        lambda home: _replace(home.packet_filter, "burst 100", "burst 9000"), "file", "packet-filter.nft", "is not what",
    ),
    "the trust file is gone": (lambda home: home.trust.unlink(), "file", "trust.json", "is missing"),
    "an agent's public key": (
        lambda home: _replace(home.agent_keys, "greeter", "other"), "file", "agents.json", "is not what",
    ),
    "who seals": (lambda home: home.seal_policy.write_text("x"), "file", "seal.policy", "is not what"),
    "the keys' list": (lambda home: home.user_keys.write_text("{}"), "file", "users.json", "is not what"),
    "a context": (lambda home: _context(home, "ops").write_text("{}"), "context", "ops.json", "is not what"),
    "a context of nobody": (
        lambda home: _context(home, "gone").write_text("{}"), "context", "gone.json", "is of nobody",
    ),
}  # fmt: skip


def _key(home: Home, name: str) -> Path:
    return home.credentials(name) / names.BUS_CREDENTIAL


def _context(home: Home, name: str) -> Path:
    return home.contexts / "nats" / "context" / f"{name}.json"


def _replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


async def test_what_is_as_provisioned_is_not_named_and_faults_in_files_are(fleet_bench: Bench) -> None:
    """Each planted fault is the one that is named, exit 1; without any it is 0, and no file was touched."""
    home = fleet_bench.home
    before = _without_store(home)
    sound = _check(home)
    assert (sound.returncode, sound.stderr) == (0, "")
    assert re.fullmatch(r"looked at \d\d\d, 0 otherwise than provisioned\n", sound.stdout)
    for fault, (plant, kind, name, says) in _FAULTS.items():
        modes = {path: path.stat().st_mode for path in home.root.rglob("*") if path.is_file()}
        modes[_key(home, "ops").parent] = _key(home, "ops").parent.stat().st_mode
        plant(home)
        planted = _without_store(home)
        found = _of_files(fleet_bench.fleet, home)
        assert [one for one in found if one[:2] == (kind, name) and says in one[2]], (fault, found)
        assert len(found) == 1 or fault == "a key is none", (fault, found)
        assert _without_store(home) == planted, fault
        for path in planted.keys() - before.keys():
            (home.root / path).unlink()
        for path, data in before.items():
            (home.root / path).write_bytes(data)
        for file, mode in modes.items():
            file.chmod(mode)
    _key(home, "greeter").chmod(0o604)
    assert "  → chmod 600 " in _check(home).stdout


async def test_faults_of_the_server_are_named(fleet_bench: Bench) -> None:
    """A key that it does not take, a stream or a consumer that is gone, and a stream that was changed."""
    home, fleet = fleet_bench.home, fleet_bench.fleet
    own = names.own_account("greeter")
    admins = await administrators(fleet_bench, (names.ACCOUNT_BUS, names.ACCOUNT_PARTS, own))
    await call(admins[names.ACCOUNT_BUS], "CONSUMER.DELETE.TASKS.textstats")
    await call(admins[names.ACCOUNT_PARTS], "STREAM.DELETE.OBJ_ops")
    info = await call(admins[own], "STREAM.INFO.KV_push")
    await call(admins[own], "STREAM.UPDATE.KV_push", info["config"] | {"max_bytes": 2**20})
    key = _key(home, "concierge")
    key.unlink()
    keys = write_files(fleet, home)
    assert home.server_config.read_text() == server_config(fleet, servers_of(fleet, home)[0], keys)
    found = _drift(home)
    assert {(kind, name) for kind, name, _ in found} == {
        ("stream", "TASKS.textstats"), ("stream", "OBJ_ops"), ("stream", "KV_push"), ("server", "bus.nk"),
    }  # fmt: skip
    assert any("max_bytes 1048576 where this version provisions" in says for _, _, says in found)
    said = _check(home)
    assert said.returncode == 1
    assert "server: " in said.stdout
    await fleet_bench.server.stop()
    assert "the server does not run" in _check(home).stdout
