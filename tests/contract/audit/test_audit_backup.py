"""A copy of the trail in a folder: complete, continued, and verified without a server."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from bus.audit.copies import backup as module
from bus.audit.copies.backup import MANIFEST, back_up, read_manifest, records_in
from bus.audit.read import Reader, Record
from bus.audit.tlog.leaf import Leaf
from bus.audit.verifying.verify_stream import find_heads
from bus.surroundings import Home
from schemas import names
from schemas.errors import InvalidDocument
from tests.harness.command import agentbus
from tests.harness.fleet import Bench, bench
from tests.tamper.store import Attacker, in_bulk, in_turn, records_of, running


async def copied(live: Bench, directory: Path) -> None:
    heads = find_heads(live.home.root / "state")
    auditor = await live.connect("auditor", names.OWN_CREDENTIAL, inbox_prefix=names.inbox_prefix("auditor"))
    await back_up(Reader(auditor), directory, heads, lambda *_: None)


def offline(home: Home, directory: Path, *more: str) -> tuple[int, dict[str, Any]]:
    """What the command says of a backup; no server runs."""
    done = agentbus("audit", "verify", "--json", "--offline", directory, "--home", home.root, *more)
    report: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, report


def told(records: Iterable[Record]) -> list[tuple[Record, bytes]]:
    """What records say, and the bytes that checkpoints seal; how many more there were is of the reading."""
    return [(one._replace(block=b""), Leaf.of_answer(one.block, one.payload).data()) for one in records]


def line_of(directory: Path, sequence: int) -> tuple[Path, list[bytes], int]:
    """The file with this stream sequence, its lines, and which of them it is."""
    for path in sorted(directory.glob("*.jsonl")):
        lines = path.read_bytes().splitlines(keepends=True)
        for number, line in enumerate(lines):
            if json.loads(line)["sequence"] == sequence:
                return path, lines, number
    raise AssertionError(f"sequence {sequence} is in no file")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def original(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, Path]:
    """The home of a fleet that is stopped, and a backup of its trail in files of seven messages, made in two goes."""
    folder = tmp_path_factory.mktemp("original")
    directory = folder / "backup"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_MESSAGES_A_FILE", 7)
        async with bench(folder) as live:
            await in_turn(live)
            await copied(live, directory)
            assert read_manifest(directory).last == 30
        async with running(live.home, live.fleet) as again:
            await in_bulk(again)
            await copied(again, directory)
            assert told(records_in(directory)) == told(await records_of(again))
    return live.home, directory


@pytest.fixture
def written(original: tuple[Home, Path], tmp_path: Path) -> tuple[Home, Path]:
    """The same for one test, which may change the backup."""
    home, directory = original
    shutil.copytree(directory, tmp_path / "backup")
    return home, tmp_path / "backup"


async def test_a_backup_is_the_trail(written: tuple[Home, Path]) -> None:
    """Message for message as an auditor reads it, over two goes and several files; it verifies without a server."""
    home, directory = written
    code, report = offline(home, directory)
    assert (code, report["verdict"], report["events"], report["slots"]) == (0, "sound", 236, 2)
    assert len(read_manifest(directory).parts) > 5


async def test_a_changed_backup_is_seen_at_its_place(written: tuple[Home, Path]) -> None:
    """A line that says something else, one that is gone, and a file that is gone."""
    home, directory = written
    path, lines, number = line_of(directory, 12)
    lines[number] = lines[number].replace(b"SendMessage", b"SendMassage")
    path.write_bytes(b"".join(lines))
    code, report = offline(home, directory)
    assert (code, report["findings"][0]["sequence"]) == (1, 12)
    path.write_bytes(b"".join([*lines[:number], *lines[number + 1 :]]))
    code, report = offline(home, directory)
    assert (code, report["findings"][0]["sequence"]) == (1, 12)
    path.write_bytes(b"not a record\n")
    code, report = offline(home, directory)
    assert code == 2
    assert path.name in report["reason"]
    path.unlink()
    code, report = offline(home, directory)
    assert code == 2
    assert path.name in report["reason"]


async def test_an_end_that_is_missing_is_seen(written: tuple[Home, Path]) -> None:
    """The manifest says how far the files reach; without their last, the heads that it keeps still tell."""
    home, directory = written
    manifest = json.loads((directory / MANIFEST).read_text())
    manifest["parts"].pop()
    (directory / MANIFEST).write_text(json.dumps(manifest))
    code, report = offline(home, directory)
    assert (code, report["verdict"]) == (1, "tampered")


async def test_a_stream_that_is_shorter_than_its_backup_is_no_source(written: tuple[Home, Path]) -> None:
    """The backup may be all that is left: nothing is written over it."""
    _, directory = written
    before = {path.name: path.read_bytes() for path in directory.iterdir()}
    folder = directory.parent / "other"
    folder.mkdir()
    async with bench(folder) as live:
        with pytest.raises(InvalidDocument, match="keep this backup"):
            await copied(live, directory)
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == before


async def test_bytes_that_are_no_text_come_back(tmp_path: Path) -> None:
    """Whatever somebody stored on the trail, its backup holds."""
    async with bench(tmp_path) as live:
        await in_turn(live)
        attacker = await Attacker.of(live)
        await attacker.append("audit.agent.greeter.0.request", b"\xff\x00\xfe", {"X": "1"})
        await copied(live, tmp_path / "backup")
        assert told(records_in(tmp_path / "backup")) == told(await records_of(live))


async def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    """The error says what to do."""
    (tmp_path / MANIFEST).write_text('{"name": "other"}')
    with pytest.raises(InvalidDocument, match="another folder"):
        read_manifest(tmp_path)
