"""A trail that is rotated is one trail: for producers, for the sealer, and for every command of an auditor."""

from __future__ import annotations

import asyncio
import datetime
import inspect
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from agents.cli.audit import rotate as rotate_commands
from agents.cli.audit.restore import restored, taken
from agents.cli.audit.rotate import rotated
from agents.cli.audit.verify import Wanted, verified_by
from bus.audit.archives import Archive, problem_of
from bus.audit.copies import snapshot
from bus.audit.copies.backup import back_up, records_in
from bus.audit.copies.snapshot import ARCHIVE
from bus.audit.fetch import stream_info
from bus.audit.questions.state import state_at
from bus.audit.read import Reader
from bus.audit.seal.policy_file import load_policy
from bus.audit.seal.prove import check_proof, prove_message, read_log
from bus.audit.select import Selection, selected
from bus.audit.tlog.leaf import Leaf
from bus.audit.verifying.verify import Report
from bus.errors import NoServer, NotProvisioned, TrailBroken
from bus.jetstream import call
from bus.provision import rotation
from bus.provision.provision import start_server
from bus.provision.rotation import Plan
from bus.server import LocalServer
from bus.surroundings import Home
from schemas import names, subjects
from schemas.audit import decode_event
from schemas.errors import InvalidDocument
from tests.contract.audit.test_audit_restore import audit
from tests.harness.fleet import Bench, bench, until
from tests.harness.sealing import sealing, witness_of, write
from tests.tamper.store import Attacker, copied, in_turn, records_of, running, sealed, verified

STEPS = {
    "half of the archive is there": "chunk",
    "the plan is noted": "replace_durably",
    "the stream is half deleted": "replace_durably",
    "the stream is deleted": "STREAM.DELETE",
    "the stream is a mirror": "STREAM.CREATE",
    "the stream goes on": "STREAM.UPDATE",
    "it is told that it is done": "before forget",
}
"""When the process and the server are killed, and after which call of the rotation that is."""
CLOSED = {"the stream is half deleted", "the stream is deleted", "the stream is a mirror"}
"""What the fleet does not start over."""

pytestmark = pytest.mark.timeout(240)


async def leaves(live: Bench) -> list[Leaf]:
    """The trail as the sealer hashes it."""
    return [Leaf.of_answer(record.block, record.payload) for record in await records_of(live)]


async def put_away(home: Home) -> Plan:
    """One rotation, with the fleet stopped."""
    done = await rotated(home)
    assert isinstance(done, Plan), done
    return done


def streams_of(home: Home) -> Path:
    """Where the server keeps the trail."""
    return home.store / "jetstream" / names.ACCOUNT_AUDIT / "streams"


async def auditor(live: Bench) -> Reader:
    inbox = names.inbox_prefix("auditor")
    return Reader(await live.connect("auditor", names.OWN_CREDENTIAL, inbox_prefix=inbox))


async def test_two_rotations(tmp_path: Path) -> None:
    """Numbers, chains and checkpoints go on over both; each message is what it was, wherever it lies."""
    async with bench(tmp_path) as live:
        await sealed(live)
        written = await leaves(live)
    moment = datetime.datetime.now(datetime.UTC)
    first = await put_away(live.home)
    assert (first.archives, first.messages) == (("AUDIT_1_36",), 36)
    async with running(live.home, live.fleet) as live:
        for name in live.fleet.witnesses:
            await witness_of(live, name)
        greeter = await live.audit("greeter")
        async with sealing(live) as sealer:
            await write(greeter, 3)
            await sealer.until_sealed(41)
        await greeter.close()
        between = await leaves(live)
        assert between[:35] == written
    second = await put_away(live.home)
    assert second.archives == ("AUDIT_1_36", f"AUDIT_37_{len(between) + 1}")
    async with running(live.home, live.fleet) as live:
        greeter, textstats = await live.audit("greeter"), await live.audit("textstats")
        async with sealing(live) as sealer:
            await write(greeter, 2)
            await write(textstats, 1)  # its last message is in the first archive
            events = [leaf.sequence for leaf in await leaves(live) if leaf.subject != subjects.SEAL.encode()]
            await sealer.until_sealed(events[-1])
        now = await leaves(live)
        assert now[: len(between)] == between
        assert [leaf.sequence for leaf in now] == list(range(1, len(now) + 1))
        await told_as_one(live, len(now), moment, tmp_path)
        assert await told_of(live) == [metadata_of(first), metadata_of(second)]


def metadata_of(plan: Plan) -> dict[str, Any]:
    """What the trail is to say of it."""
    archive = plan.archive
    return {"first": archive.first, "last": archive.last, "messages": plan.messages, "root": plan.root}


async def told_of(live: Bench) -> list[dict[str, Any]]:
    """What the trail says of its rotations."""
    events = selected(await auditor(live), Selection(kind="audit.rotated"))
    return [decode_event(event.payload).data.metadata async for event in events]


async def told_as_one(live: Bench, size: int, moment: datetime.datetime, folder: Path) -> None:
    """Every reader of the trail, over two archives and AUDIT."""
    reader = await auditor(live)
    assert (await verified(live.home)).exit_code == 0
    events = [event async for event in selected(reader, Selection(agent=names.ROTATION))]
    kinds = [decode_event(event.payload).short_type for event in events]
    assert kinds == ["audit.rotation_begun", "audit.rotated", "process.stopped"] * 2
    assert (await reader.first_since(moment), await reader.first_since(datetime.datetime.now(datetime.UTC))) == (
        36,
        size + 1,
    )
    assert (await reader.first_since(datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC))) == 1
    assert (await state_at(reader, moment)).sequence <= 35
    policy = load_policy(live.home.seal_policy)
    for sequence in (3, 38):
        proof = bytes(prove_message(await read_log(reader, policy, sequence), policy, sequence))
        assert check_proof(proof, policy)[0].sequence == sequence
    await back_up(reader, folder / "lines", [], lambda *_: None)
    assert [record.sequence for record in records_in(folder / "lines")] == list(range(1, size + 1))
    listed = json.loads((await audit(live.home, "archives", "--json")).stdout)
    assert [(row["first"], row["problem"]) for row in listed] == [(1, ""), (37, "")]


class Killed(BaseException):
    """Nothing of the process is left after this, and nothing of the server."""


async def server_killed(server: LocalServer) -> None:
    """In the place of an orderly stop."""
    server.process.kill()
    await server.process.wait()


def dies(*_: Any, **__: Any) -> Any:
    """In the place of what comes after the step."""
    raise Killed


async def first_chunk(_connection: Any, arrived: Any) -> AsyncIterator[bytes]:
    """In the place of all chunks of an archive."""
    yield (await snapshot._next(arrived)).data
    raise Killed


def dying_after(done: Callable[..., Any], verb: str = "") -> Callable[..., Any]:
    """A call of the rotation that is done, and the last; of JetStream's calls that of `verb`."""

    async def call(connection: Any, first: Any, *rest: Any, **named: Any) -> Any:
        found = await done(connection, first, *rest, **named)
        if first.startswith(verb):
            raise Killed
        return found

    def write(*arguments: Any) -> None:
        done(*arguments)
        raise Killed

    return call if inspect.iscoroutinefunction(done) else write


def kill_after(patch: pytest.MonkeyPatch, place: str) -> None:
    """Have the next rotation die there, and its server with it."""
    patch.setattr(LocalServer, "stop", server_killed)
    if place.startswith("before"):
        patch.setattr(rotate_commands, place.split()[1], dies)
    elif place == "chunk":
        patch.setattr(snapshot, "_CHUNK_BYTES", 512)
        patch.setattr(snapshot, "_acknowledged", first_chunk)
    elif place.startswith("STREAM"):
        patch.setattr(rotation, "call", dying_after(call, place))
    else:
        patch.setattr(rotation, place, dying_after(getattr(rotation, place)))


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bench, list[Leaf]]:
    """A stopped fleet with a trail of 30 messages."""

    async def made() -> tuple[Bench, list[Leaf]]:
        async with bench(tmp_path_factory.mktemp("stopped")) as live:
            await in_turn(live)
            return live, await leaves(live)

    return asyncio.run(made())


@pytest.mark.parametrize("step", STEPS)
async def test_killed_at_any_step(
    stopped: tuple[Bench, list[Leaf]], step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same command goes on, nothing is lost, and the fleet does not start over a half of it."""
    home, fleet = copied(stopped[0].home, tmp_path / "home"), stopped[0].fleet
    with monkeypatch.context() as patch:
        kill_after(patch, STEPS[step])
        with pytest.raises(Killed):
            await rotated(home)
    if step == "the stream is half deleted":
        for file in (streams_of(home) / names.AUDIT / "msgs").iterdir():
            file.unlink()
    if step in CLOSED:
        with pytest.raises(NotProvisioned, match="go on with: agentbus audit rotate"):
            await start_server(fleet, home)
    plan = await put_away(home)
    async with running(home, fleet) as live:
        await write(await live.audit("greeter"), 2)
        now = await leaves(live)
        report = await verified_by(await auditor(live), home, Wanted())
        assert (report.verdict, report.findings) == ("sound", ())
    assert now[:30] == stopped[1]
    assert (len(plan.archives), plan.archive.first, plan.archive.last) == (1, 1, plan.messages)
    assert [leaf.sequence for leaf in now] == list(range(1, plan.archive.last + 5))
    assert not (home.state(names.ROTATION) / rotation.PLAN).exists()


async def test_a_rotated_trail_is_restored_whole(stopped: tuple[Bench, list[Leaf]], tmp_path: Path) -> None:
    """A snapshot has every archive, an archive once; what is put back is sealed as it was, and goes on."""
    home, fleet, directory = copied(stopped[0].home, tmp_path / "home"), stopped[0].fleet, tmp_path / "copy"
    await put_away(home)
    assert (await taken(home, directory)).last == 33
    before = [(directory / name).stat().st_ino for name in ("AUDIT_1_31.snapshot", ARCHIVE)]
    assert (await taken(home, directory)).last == 33
    after = [(directory / name).stat().st_ino for name in ("AUDIT_1_31.snapshot", ARCHIVE)]
    assert [one == other for one, other in zip(before, after, strict=True)] == [True, False]
    streams = streams_of(home)
    streams.joinpath(names.AUDIT).rename(tmp_path / "lost")
    with pytest.raises(NotProvisioned, match="put the trail back from a snapshot"):
        await start_server(fleet, home)
    with pytest.raises(InvalidDocument, match="archive AUDIT_1_31 is there"):
        await restored(home, directory, Wanted())
    streams.joinpath("AUDIT_1_31").rename(tmp_path / "lost too")
    assert (await restored(home, directory, Wanted())).verdict == "sound"
    async with running(home, fleet) as live:
        await write(await live.audit("greeter"), 1)
        now, archive = await leaves(live), await stream_info((await auditor(live)).connection, "AUDIT_1_31", 5)
    assert (now[:30], len(now), problem_of(Archive(1, 31), archive)) == (stopped[1], 34, "")


async def test_what_is_not_rotated(stopped: tuple[Bench, list[Leaf]], tmp_path: Path) -> None:
    """Nothing new, a fleet that runs, or a trail that is not sound: it stays as it is."""
    home, fleet = copied(stopped[0].home, tmp_path / "home"), stopped[0].fleet
    done = await audit(home, "rotate", "--json")
    assert (done.returncode, json.loads(done.stdout)["archive"]) == (0, "AUDIT_1_31"), done.stderr
    with pytest.raises(InvalidDocument, match="nothing was written to the trail since"):
        await rotated(home)
    async with running(home, fleet) as live:
        await (await Attacker.of(live)).delete("AUDIT_1_31")
        with pytest.raises(TrailBroken, match="archive AUDIT_1_31 is not there"):
            await leaves(live)
        with pytest.raises(NoServer, match="stop what runs there"):
            await rotated(home)
        await write(await live.audit("greeter"), 1)
        attacker = await live.attacker("auditor", names.OWN_CREDENTIAL)
        for right in ("STREAM.INFO.AUDIT_1_9", "DIRECT.GET.AUDIT_1_9", "STREAM.DELETE.AUDIT_1_31", "STREAM.NAMES"):
            await attacker.refused(lambda right=right: attacker.client.publish(f"$JS.API.{right}", b""))  # type: ignore[misc]
    report = await rotated(home)
    assert isinstance(report, Report)
    assert (report.verdict, report.first_bad, report.findings[0].problem) == (
        "tampered",
        1,
        "archive AUDIT_1_31 is not there",
    )


async def test_who_was_connected_before_reads_on(tmp_path: Path) -> None:
    """A sealer and a follower that outlast the rotation look for what they read in the archive, and go on."""
    async with bench(tmp_path) as live:
        await in_turn(live)
        async with sealing(live) as sealer:
            await sealer.until_sealed(30)
            reader, seen = await auditor(live), list[int]()
            before = reader.records(follow=True, poll_s=0.02)
            while len(seen) < 20:
                seen.append((await anext(before)).sequence)
            await live.server.stop()
            await put_away(live.home)
            await live.server.start()

            async def is_back() -> bool:
                return sealer.auditor.is_connected and reader.connection.is_connected

            await until(is_back, timeout_s=30)
            await write(await live.audit("textstats"), 2)
            await sealer.until_sealed(36)
            while seen[-1] < 36:
                seen.append((await anext(before)).sequence)
        assert seen == list(range(1, 37))
