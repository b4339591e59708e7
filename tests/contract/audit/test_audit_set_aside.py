"""A spool whose events the stream contradicts is set aside, or kept as it is where that is not possible."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from bus.errors import AuditFenced, AuditUnavailable
from tests.contract.audit.audit_server import AuditServer, audit_server
from tests.contract.audit.test_audit_emit import GREETER, opened, stored_events, verdict
from tests.harness.disk import files_up_to


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[AuditServer]:
    async with audit_server(tmp_path, (GREETER,)) as server:
        yield server


async def fenced(server: AuditServer) -> None:
    """The process `one` ends with an unsent event, since another took its slot."""
    first = await opened(server, where="one")
    second = await opened(server, where="two")
    second.emit("process.started", action="start")
    await second.close()
    first.emit("tool.intended", action="send_mail")
    with pytest.raises(AuditFenced):
        await first.confirm()
    await first.close()


async def test_events_that_the_stream_contradicts_are_set_aside(server: AuditServer) -> None:
    """A process that was fenced comes back: its unsent events are kept in a file, which the trail says."""
    await fenced(server)
    again = await opened(server, where="one")
    await again.close()
    events = await stored_events(server)
    assert [event.short_type for event in events] == ["process.started", "audit.set_aside"]
    kept = server.root / "state" / "one" / "audit" / str(events[1].data.metadata["file"])
    assert b"send_mail" in kept.read_bytes()
    assert (await verdict(server)).verdict == "sound"


@contextmanager
def in_its_way(folder: Path) -> Iterator[None]:
    """A folder where the spool's new file must be."""
    (folder / "spool.new").mkdir()
    yield
    (folder / "spool.new").rmdir()


@pytest.mark.parametrize("failing", [in_its_way, lambda _: files_up_to(100)], ids=["a folder in its way", "full disk"])
async def test_a_spool_that_cannot_be_set_aside_is_kept(
    server: AuditServer, failing: Callable[[Path], AbstractContextManager[object]]
) -> None:
    """The process does not start, and says what to do; nothing is changed, so the next one that can does all of it."""
    await fenced(server)
    folder = server.root / "state" / "one" / "audit"
    before = (folder / "spool").read_bytes()
    with failing(folder), pytest.raises(AuditUnavailable, match=r"cannot be put into another file: .*start again$"):
        await opened(server, where="one")
    assert (folder / "spool").read_bytes() == before
    assert [path.name for path in folder.glob("spool.*")] == ["spool.lock"]
    await (await opened(server, where="one")).close()
    assert [event.short_type for event in await stored_events(server)] == ["process.started", "audit.set_aside"]
    assert [path.read_bytes() for path in folder.glob("spool.0*")] == [before]
    assert (await verdict(server)).verdict == "sound"
