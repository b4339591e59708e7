"""The server's files are encrypted: what is on the disk, where the key is, and what happens without it."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from bus.errors import NoServer, NotProvisioned
from bus.provision.provision import start_server
from bus.provision.store_key import VARIABLE
from bus.server import LocalServer
from bus.surroundings import Home
from schemas.fleet import Fleet
from tests.contract.audit.test_audit_backup import told
from tests.harness.fleet import Bench, bench, unencrypted
from tests.tamper.store import in_turn, records_of, running

KNOWN = b'"action":"SendMessage"'
"""What every event of these trails says."""


def holding(text: bytes, folder: Path) -> list[Path]:
    """Every file below `folder` with `text` in it."""
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and text in path.read_bytes()]


def with_encryption(fleet: Fleet, *, on: bool) -> Fleet:
    """The fleet file with that one line."""
    return fleet.model_copy(update={"nats": fleet.nats.model_copy(update={"encryption": on})})


async def stopped(folder: Path, *, encrypted: bool) -> Bench:
    """A fleet with a trail of 30 events, whose server has ended."""
    async with bench(folder) if encrypted else bench(folder, unencrypted) as live:
        await in_turn(live)
    return live


async def test_no_event_is_readable_on_the_disk(tmp_path: Path) -> None:
    """Nothing that an event says is in any file of the store, though the server gives it back; without the key it was there."""
    for encrypted in (True, False):
        folder = tmp_path / f"encrypted-{encrypted}"
        folder.mkdir()
        live = await stopped(folder, encrypted=encrypted)
        assert bool(holding(KNOWN, live.home.store)) is not encrypted
        async with running(live.home, live.fleet) as again:
            assert len([record for record in await records_of(again) if KNOWN in record.payload]) == 30


async def test_the_key_is_in_one_file_and_in_the_servers_environment(fleet_bench: Bench) -> None:
    """Only its owner can read it; it is in no configuration, log or other file of the home, and on no argument list."""
    file = fleet_bench.home.store_key
    name, _, key = file.read_text().strip().partition("=")
    process = Path("/proc") / str(fleet_bench.server.process.pid)
    assert (stat.S_IMODE(file.stat().st_mode), name, len(key) > 40) == (0o600, VARIABLE, True)
    assert holding(key.encode(), fleet_bench.home.root) == [file]
    assert key.encode() not in (process / "cmdline").read_bytes()
    assert file.read_bytes().strip() in (process / "environ").read_bytes().split(b"\0")


async def test_a_store_from_before_is_encrypted_and_nothing_is_lost(tmp_path: Path) -> None:
    """With a key for the first time, the server has every message as it was, and the files say none of it."""
    live = await stopped(tmp_path, encrypted=False)
    async with running(live.home, live.fleet) as plain:
        before = told(await records_of(plain))
    fleet = with_encryption(live.fleet, on=True)
    async with running(live.home, fleet) as now:
        assert told(await records_of(now)) == before
    assert holding(KNOWN, live.home.store) == []
    async with running(live.home, fleet) as again:
        assert told(await records_of(again)) == before


async def refused(home: Home, fleet: Fleet, match: str) -> None:
    """Provisioning says `match`, and has changed nothing that the server keeps."""
    with pytest.raises(NotProvisioned, match=match):
        await start_server(fleet, home)


async def test_without_its_key_a_store_is_left_alone(tmp_path: Path) -> None:
    """A key that is gone, another one, or encryption taken back: a sentence, no new streams; with the key, all is there."""
    live = await stopped(tmp_path, encrypted=True)
    async with running(live.home, live.fleet) as encrypted:
        before = told(await records_of(encrypted))
    kept = live.home.store_key.read_text()
    live.home.store_key.unlink()
    await refused(live.home, live.fleet, "put that file back from a copy")
    assert not live.home.store_key.exists()
    live.home.store_key.write_text(f"{VARIABLE}=key-of-somebody-else\n")
    await refused(live.home, live.fleet, "could not read them")
    await refused(live.home, with_encryption(live.fleet, on=False), "take nats.encryption: false out")
    live.home.store_key.write_text(kept)
    async with running(live.home, live.fleet) as again:
        assert told(await records_of(again)) == before


async def test_a_server_without_the_variable_does_not_start(tmp_path: Path) -> None:
    """A unit whose key file is missing ends, rather than write in the clear."""
    live = await stopped(tmp_path, encrypted=True)
    home, listen = live.home, live.fleet.nats
    server = LocalServer(home.server_config, tmp_path / "log", listen.host, listen.port, store=home.store)
    with pytest.raises(NoServer, match=VARIABLE):
        await server.start()
