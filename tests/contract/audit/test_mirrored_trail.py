"""A mirror that stands in the trail's own account: nats-server lets it answer for AUDIT, with other headers."""

from __future__ import annotations

from pathlib import Path

from bus.audit.read import Reader, Record
from bus.jetstream import call
from schemas import names
from schemas.errors import Unavailable
from tests.harness.admin import administrator
from tests.harness.fleet import bench, until
from tests.tamper.store import records_of, sealed, verified

_MIRROR = "COPY"
_TRIES = 400
"""The server picks one of the two for each read: that it never picks the mirror is out of the question."""


async def read_often(reader: Reader) -> tuple[list[list[Record]], str]:
    """What was read in each try until the mirror answered, and what the reader said then."""
    found = []
    for _ in range(_TRIES):
        try:
            found.append([record async for record in reader.records()])
        except Unavailable as error:
            return found, str(error)
    return found, ""


async def test_a_mirror_is_named_and_never_taken_for_the_trail(tmp_path: Path) -> None:
    """What is read is the trail's own, or nothing: a copy without some of the headers is no evidence of tampering."""
    async with bench(tmp_path) as live:
        await sealed(live)
        before = await records_of(live)
        admin = await administrator(live, names.ACCOUNT_AUDIT)
        mirror = {"name": _MIRROR, "mirror": {"name": names.AUDIT}, "storage": "file"}
        await call(admin, f"STREAM.CREATE.{_MIRROR}", mirror)

        async def is_answering() -> bool:
            answer = await admin.request(f"$JS.API.DIRECT.GET.{names.AUDIT}", b'{"seq": 1}', timeout_s=5)
            return answer.headers.get("Nats-Stream") == _MIRROR

        await until(is_answering)
        found, said = await read_often(Reader(admin))
        assert all(records == before for records in found)
        assert said.startswith(f"stream {_MIRROR} answers for {names.AUDIT}")
        assert (await verified(live.home)).exit_code in {0, 2}
        await call(admin, f"STREAM.DELETE.{_MIRROR}")
        assert (await verified(live.home)).exit_code == 0


async def test_a_producer_cannot_pass_for_a_mirror(tmp_path: Path) -> None:
    """The server's word is believed, not a producer's: its message is read, as one with a forged header."""
    async with bench(tmp_path) as live:
        admin = await administrator(live, names.ACCOUNT_AUDIT)
        await admin.request("audit.agent.greeter.0.request", b"{}", headers={"Nats-Stream": _MIRROR}, timeout_s=5)
        (record,) = await records_of(live)
        assert record.problem
