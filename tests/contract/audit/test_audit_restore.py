"""A trail that was lost is put back from a snapshot, as it was and verified, or not at all."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from bus.audit.copies import snapshot as module
from bus.audit.copies.snapshot import ARCHIVE, CONTENTS, put_back, take_snapshot
from bus.audit.read import Reader
from bus.connection import Connection
from bus.errors import ConnectionRefused
from bus.jetstream import call
from bus.provision.closed import administered
from bus.surroundings import Home
from schemas import names
from tests.contract.audit.test_audit_backup import told
from tests.harness.admin import administrator
from tests.harness.command import agentbus
from tests.harness.fleet import Bench, bench, credentials_of
from tests.harness.sealing import sealing, write
from tests.tamper import store
from tests.tamper.store import Attacker, in_bulk, records_of, running, sealed, verified

pytestmark = pytest.mark.timeout(120)


async def audit(home: Home, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """`agentbus audit …`."""
    return await asyncio.to_thread(agentbus, "audit", *arguments, "--home", home.root)


def files_of(home: Home) -> Path:
    return home.store / "jetstream" / names.ACCOUNT_AUDIT / "streams" / names.AUDIT


async def config_of(live: Bench) -> dict[str, object]:
    """The stream's configuration, without what the server writes into it about itself."""
    found = await call(await administrator(live, names.ACCOUNT_AUDIT), f"STREAM.INFO.{names.AUDIT}")
    return {key: value for key, value in found["config"].items() if key != "metadata"}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def original(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bench, Path]:
    """A stopped fleet with a sealed trail, and a snapshot of it."""
    folder = tmp_path_factory.mktemp("original")
    async with bench(folder) as live:
        await sealed(live)
    done = await audit(live.home, "snapshot", folder / "copy")
    assert (done.returncode, done.stderr) == (0, "")
    assert "up to stream sequence 35" in done.stdout
    return live, folder / "copy"


@pytest.fixture
def copied(original: tuple[Bench, Path], tmp_path: Path) -> tuple[Bench, Path]:
    """The same for one test."""
    live, directory = original
    shutil.copytree(directory, tmp_path / "copy")
    return replace(live, home=store.copied(live.home, tmp_path / "home")), tmp_path / "copy"


async def test_a_deleted_trail_comes_back_and_goes_on(copied: tuple[Bench, Path], tmp_path: Path) -> None:
    """Sequences, times, headers and bytes are those of before, under a kept checkpoint; producers and sealer go on."""
    before, directory = copied
    old = shutil.copy(before.home.state(names.SEALER) / "checkpoint", tmp_path / "old.checkpoint")
    async with running(before.home, before.fleet) as live:
        records, config = told(await records_of(live)), await config_of(live)
        await (await Attacker.of(live)).delete()
    async with running(before.home, before.fleet):  # provisioning makes an empty one
        assert (await verified(before.home)).exit_code == 1
    done = await audit(before.home, "restore", directory, "--checkpoint", old)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert done.stdout.startswith("sound: ")
    async with running(before.home, before.fleet) as live:
        assert (told(await records_of(live)), await config_of(live)) == (records, config)
        checked = await audit(before.home, "verify", "--json", "--checkpoint", old)
        assert (checked.returncode, json.loads(checked.stdout)["sealed"]) == (0, 34)
        greeter = await live.audit("greeter")
        async with sealing(live) as sealer:
            await write(greeter, 3)
            await sealer.until_sealed(38)
        checked = await audit(before.home, "verify", "--json", "--checkpoint", old)
        assert (checked.returncode, json.loads(checked.stdout)["sealed"] >= 38) == (0, True)


async def test_an_archive_of_many_chunks_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each chunk is acknowledged on its way out, and waited for on its way in."""
    monkeypatch.setattr(module, "_CHUNK_BYTES", 512)
    async with bench(tmp_path) as live:
        await in_bulk(live)
        records, config = told(await records_of(live)), await config_of(live)
        admin = await administrator(live, names.ACCOUNT_AUDIT)
        contents = await take_snapshot(admin, tmp_path)
        assert (contents.last, (tmp_path / ARCHIVE).stat().st_size > 10 * 512) == (records[-1][0].sequence, True)
        await call(admin, f"STREAM.DELETE.{names.AUDIT}")
        await put_back(admin, tmp_path, config)
        assert (told(await records_of(live)), await config_of(live)) == (records, config)


async def test_the_server_for_this_lets_in_one_key(tmp_path: Path) -> None:
    """Nobody of the fleet, while it runs; the fleet's own configuration is not touched, and the key is gone after."""
    async with bench(tmp_path) as live:
        await in_bulk(live)
    text = live.home.server_config.read_bytes()
    async with administered(live.fleet, live.home, names.ACCOUNT_AUDIT) as admin:
        key = admin.profile.credential
        assert (await Reader(admin).bounds()).last
        for principal, credential in credentials_of(live.fleet):
            with pytest.raises(ConnectionRefused):
                await Connection.open(live.profile(principal, credential, wait_for_server=False))
    assert (live.home.server_config.read_bytes(), key.path.exists()) == (text, False)


async def test_what_is_there_is_never_replaced(copied: tuple[Bench, Path]) -> None:
    """A stream that holds anything stays as it is, and a fleet that runs is let be."""
    before, directory = copied
    done = await audit(before.home, "restore", directory)
    assert (done.returncode, "a restore replaces nothing" in done.stderr) == (78, True)
    async with running(before.home, before.fleet) as live:
        records = told(await records_of(live))
        for command in ("restore", "snapshot"):
            done = await audit(before.home, command, directory)
            assert (done.returncode, "stop what runs there" in done.stderr) == (78, True)
        assert told(await records_of(live)) == records
        assert (await verified(before.home)).exit_code == 0


async def test_an_older_copy_is_no_trail(copied: tuple[Bench, Path], tmp_path: Path) -> None:
    """What this host or an auditor knows to have come after it would be missing: it says so and restores nothing."""
    before, directory = copied
    async with running(before.home, before.fleet) as live:
        greeter = await live.audit("greeter")
        async with sealing(live) as sealer:
            await write(greeter, 3)
            await sealer.until_sealed(38)
    files_of(before.home).rename(tmp_path / "lost")
    newest = shutil.copy(before.home.state(names.SEALER) / "checkpoint", tmp_path / "newest")
    for more in ((), ("--checkpoint", newest)):
        done = await audit(before.home, "restore", directory, *more)
        assert (done.returncode, "nothing was restored" in done.stderr) == (1, True)
        assert not files_of(before.home).exists()
        for state in before.home.root.glob("state/*"):  # the second time only the auditor knows
            shutil.rmtree(state)
    done = await audit(before.home, "restore", directory)
    assert done.returncode == 0, done.stderr


async def test_a_changed_archive_is_refused(copied: tuple[Bench, Path], tmp_path: Path) -> None:
    """Damaged, or changed with its digest: another stream than the lines beside it does not stay."""
    before, directory = copied
    files_of(before.home).rename(tmp_path / "kept")
    good = (directory / ARCHIVE).read_bytes()
    (directory / ARCHIVE).write_bytes(good[:-1])
    done = await audit(before.home, "restore", directory)
    assert (done.returncode, "is damaged" in done.stderr) == (78, True)
    for changed in changes_of(good):
        (directory / ARCHIVE).write_bytes(changed)
        contents = json.loads((directory / CONTENTS).read_text())
        contents["sha256"] = hashlib.sha256(changed).hexdigest()
        (directory / CONTENTS).write_text(json.dumps(contents))
        done = await audit(before.home, "restore", directory)
        assert done.returncode != 0, done.stdout
        assert not files_of(before.home).exists()


def changes_of(archive: bytes) -> Iterable[bytes]:
    """Cut, a byte in its middle, and no archive at all."""
    yield archive[: len(archive) // 2]
    middle = len(archive) // 2
    yield archive[:middle] + bytes([archive[middle] ^ 1]) + archive[middle + 1 :]
    yield b"not an archive"


async def test_another_history_in_the_archive_does_not_stay(copied: tuple[Bench, Path], tmp_path: Path) -> None:
    """A whole archive of a stream that says something else, beside lines that are genuine: it is verified, and removed."""
    before, directory = copied
    async with running(before.home, before.fleet) as live:
        records = await records_of(live)
        await (await Attacker.of(live)).rebuild([*records[:-1], records[-1]._replace(payload=records[0].payload)])
    done = await audit(before.home, "snapshot", tmp_path / "forged")
    assert done.returncode == 0, done.stderr
    for name in (ARCHIVE, CONTENTS):
        shutil.copy(tmp_path / "forged" / name, directory / name)
    files_of(before.home).rename(tmp_path / "kept")
    done = await audit(before.home, "restore", directory)
    assert (done.returncode, "nothing was restored" in done.stderr) == (1, True)
    assert not files_of(before.home).exists()


async def test_a_snapshot_of_an_encrypted_store_can_be_read(copied: tuple[Bench, Path]) -> None:
    """The server encrypts its own files, not what it hands out: so the archive is its owner's alone, as the page says."""
    before, directory = copied
    text = (before.home.state(names.SEALER) / "checkpoint").read_bytes()[-60:-10]  # nothing that compression shortens
    assert not any(text in path.read_bytes() for path in files_of(before.home).rglob("*") if path.is_file())
    assert text in (directory / ARCHIVE).read_bytes()
    assert (directory / ARCHIVE).stat().st_mode & 0o777 == 0o600
