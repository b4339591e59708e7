"""What an operator does when a trail must end: the old one is a whole and verifiable archive, the next one starts at 1."""

from __future__ import annotations

from pathlib import Path

from bus.audit.read import Reader
from bus.surroundings import Home
from schemas import names
from tests.contract.audit.test_audit_backup import copied, offline
from tests.harness.fleet import Bench, bench
from tests.tamper.store import in_turn, running, sealed, verified


def move_away(home: Home, witnesses: tuple[str, ...], archive: Path) -> None:
    """As nats/TRAIL.md says, with everything stopped: the stream, what producers remember of it, and its seal."""
    stream = home.store / "jetstream" / names.ACCOUNT_AUDIT / "streams" / names.AUDIT
    remembered = [*home.root.glob("state/*/audit"), *(home.state(name) for name in (names.SEALER, *witnesses))]
    remembered += home.credentials("").glob(f"*/{names.SEAL_CREDENTIAL}.retired")
    for path in filter(Path.exists, (stream, *remembered)):
        target = archive / path.relative_to(home.root)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)


async def last_of(live: Bench) -> int:
    """The last sequence on the stream."""
    inbox = names.inbox_prefix("auditor")
    auditor = await live.connect("auditor", names.OWN_CREDENTIAL, inbox_prefix=inbox)
    return (await Reader(auditor).bounds()).last


async def test_a_trail_that_ends_is_an_archive_and_another_begins(tmp_path: Path) -> None:
    """The archive verifies without a server, also with a checkpoint of then; the next trail is sound, and longer from 1 on."""
    async with bench(tmp_path) as live:
        await sealed(live)
        await copied(live, tmp_path / "backup")
    home, archive = live.home, tmp_path / "archive"
    move_away(home, live.fleet.witnesses, archive)
    async with running(home, live.fleet) as anew:
        assert await last_of(anew) == 0
        await in_turn(anew)
        assert (await verified(home)).problems == ()
    checkpoint = archive / "state" / names.SEALER / "checkpoint"
    for more in ((), ("--checkpoint", str(checkpoint))):
        code, report = offline(home, tmp_path / "backup", *more)
        assert (code, report["verdict"], report["sealed"]) == (0, "sound", 34)


async def test_a_stream_that_is_only_removed_is_evidence(tmp_path: Path) -> None:
    """What producers, sealer and witnesses remember tells of it: an end that is agreed on takes all of the steps."""
    async with bench(tmp_path) as live:
        await sealed(live)
    stream = live.home.store / "jetstream" / names.ACCOUNT_AUDIT / "streams" / names.AUDIT
    stream.rename(tmp_path / "taken")
    async with running(live.home, live.fleet):
        assert (await verified(live.home)).exit_code == 1
