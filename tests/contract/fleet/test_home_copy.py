"""A whole home in one file: what comes back is what was there, or nothing does."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import stat
import subprocess
from pathlib import Path

import pytest
import pytest_asyncio

from bus.credentials import Credential
from bus.provision.home_copy import read_copy
from bus.surroundings import Home
from schemas import names
from schemas.errors import InvalidDocument
from tests.contract.audit.test_audit_backup import told
from tests.harness.command import agentbus
from tests.harness.fleet import Bench, bench
from tests.tamper.store import records_of, running, sealed

pytestmark = pytest.mark.timeout(120)


async def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """`agentbus …`."""
    return await asyncio.to_thread(agentbus, *arguments)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bench, Path, list[object]]:
    """A stopped fleet with a sealed trail, its backup, and what the trail holds."""
    folder = tmp_path_factory.mktemp("saved")
    async with bench(folder) as live:
        await sealed(live)
        refused = await run("backup", folder / "early.tar.gz", "--home", live.home.root)
        assert (refused.returncode, "stop what runs there" in refused.stderr) == (78, True)
        records: list[object] = list(told(await records_of(live)))
    done = await run("backup", folder / "fleet.tar.gz", "--home", live.home.root, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["files"] == len(read_copy(folder / "fleet.tar.gz").files)
    return live, folder / "fleet.tar.gz", records


async def test_a_home_comes_back_and_goes_on(saved: tuple[Bench, Path, list[object]], tmp_path: Path) -> None:
    """Elsewhere, with the same keys, and a server that has the same trail; a sound one says so."""
    live, file, records = saved
    home = Home(tmp_path / "again")
    done = await run("restore", file, "--home", home.root)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "sound: " in done.stdout
    for agent in live.fleet.agents:
        before, after = (
            Credential.find(each.credentials(agent), names.OWN_CREDENTIAL).public_key() for each in (live.home, home)
        )
        assert before == after
    async with running(home, live.fleet) as again:
        assert told(await records_of(again)) == records


async def test_it_is_its_owners_alone(saved: tuple[Bench, Path, list[object]]) -> None:
    """The file holds every key."""
    _, file, _ = saved
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


async def test_nothing_is_replaced(saved: tuple[Bench, Path, list[object]], tmp_path: Path) -> None:
    """Neither a file by a backup, nor a home by a restore."""
    live, file, _ = saved
    for arguments in (("backup", file), ("restore", file)):
        done = await run(*arguments, "--home", live.home.root)
        assert (done.returncode, "replaces nothing" in done.stderr) == (78, True)


async def test_a_port_that_is_taken_is_seen_in_time(saved: tuple[Bench, Path, list[object]], tmp_path: Path) -> None:
    """The trail could not be verified: there is no home, so the same command is right when the port is free."""
    live, file, _ = saved
    with socket.create_server((live.fleet.nats.host, live.fleet.nats.port)):
        done = await run("restore", file, "--home", tmp_path / "again")
    assert (done.returncode, "stop what runs there" in done.stderr) == (78, True)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_file_is_refused(saved: tuple[Bench, Path, list[object]], tmp_path: Path) -> None:
    """Before anything of it is written, wherever it is damaged; but for bits that fill a byte up and say nothing."""
    _, file, _ = saved
    whole = file.read_bytes()
    refused = 0
    for place in range(100, len(whole), len(whole) // 50):
        data = bytearray(whole)
        data[place] ^= 0x10
        (tmp_path / "copy").write_bytes(data)
        try:
            read_copy(tmp_path / "copy")
        except InvalidDocument:
            refused += 1
        else:
            assert gzip.decompress(data) == gzip.decompress(whole)
    assert refused > 40


def test_a_file_that_ends_early_is_refused(saved: tuple[Bench, Path, list[object]], tmp_path: Path) -> None:
    """As after a disk that was full."""
    _, file, _ = saved
    (tmp_path / "copy").write_bytes(file.read_bytes()[:-2000])
    with pytest.raises(InvalidDocument):
        read_copy(tmp_path / "copy")
