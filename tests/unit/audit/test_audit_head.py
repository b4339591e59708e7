"""Where a new process goes on, for every state it can find."""

from __future__ import annotations

from pathlib import Path

import pytest

from bus.audit.writing.head import FILE, Head, Start, read_head, reconcile, write_head
from bus.audit.writing.spool import Entry
from schemas.audit import GENESIS, AuditEvent, EventData, digest, encode_event

SLOT = "audit.agent.greeter.0."


def chain(count: int) -> list[Entry]:
    entries: list[Entry] = []
    for counter in range(1, count + 1):
        event = AuditEvent(
            id=str(counter),
            source="urn:agentbus:agent:greeter",
            type="agentbus.request.received.v1",
            time="",
            sequence=counter,
            prev=entries[-1].digest if entries else GENESIS,
            epoch="e",
            severitynumber=9,
            severitytext="INFO",
            data=EventData(actor="a", action="b", outcome="success"),
        )
        data = encode_event(event)
        entries.append(Entry(counter, 0, f"{SLOT}request", digest(data), data))
    return entries


E = chain(9)


def head(counter: int, sequence: int | None = None, sha256: str = "") -> Head:
    known = E[counter - 1].digest if counter else ""
    return Head(slot=SLOT, counter=counter, sha256=sha256 or known, stream_sequence=sequence or counter * 10)


def at(counter: int, fence: int, pending: list[Entry] | None = None, is_contradicted: bool = False) -> Start:
    return Start(counter, E[counter - 1].digest if counter else GENESIS, fence, pending or [], is_contradicted)


FORGED = "f" * 64


@pytest.mark.parametrize(
    ("lasts", "local", "spooled", "expected"),
    [
        pytest.param([], None, [], at(0, 0), id="a new slot"),
        pytest.param([head(3), head(2)], None, [], at(3, 30), id="a new folder"),
        pytest.param([head(3)], head(3), [], at(3, 30), id="after a stop in order"),
        pytest.param([head(3)], head(3), E[3:5], at(5, 30, E[3:5]), id="events were left"),
        pytest.param([head(3)], head(3), E[0:5], at(5, 30, E[3:5]), id="the spool was not cut"),
        pytest.param([head(3)], head(3), E[0:3], at(3, 30), id="the spool was not cut, all confirmed"),
        pytest.param([head(5)], head(3), E[3:7], at(7, 50, E[5:7]), id="a confirmation was not seen"),
        pytest.param([head(7)], head(3), E[3:7], at(7, 70), id="the last confirmation was not seen"),
        pytest.param([], None, E[0:2], at(2, 0, E[0:2]), id="nothing was ever sent"),
        pytest.param([head(3)], None, E[3:5], at(5, 30, E[3:5]), id="head.json is gone"),
        pytest.param([head(2)], head(5), [], at(5, 20), id="the stream lost its tail"),
        pytest.param([head(2)], head(5), E[5:7], at(7, 20, E[5:7]), id="the stream lost its tail, events were left"),
        pytest.param([], head(5), [], at(5, 0), id="the stream is new"),
        pytest.param([head(5, sha256=FORGED)], head(5), [], at(5, 50), id="the stream was rewritten"),
        pytest.param([head(5, sha256=FORGED)], head(5), E[5:6], at(6, 50, E[5:6]), id="rewritten, events were left"),
        pytest.param([head(8)], head(3), E[3:5], at(8, 80, is_contradicted=True), id="another process went on"),
        pytest.param(
            [head(4, sha256=FORGED)],
            head(3),
            E[3:5],
            Start(4, FORGED, 40, [], is_contradicted=True),
            id="another process wrote in their place",
        ),
        pytest.param(
            [head(3, sha256=FORGED)],
            None,
            E[3:5],
            Start(3, FORGED, 30, [], is_contradicted=True),
            id="another process wrote before them",
        ),
        pytest.param([head(0, 99, sha256=FORGED), head(3)], head(3), [], at(3, 99), id="the last event cannot be read"),
    ],
)
def test_a_new_process_goes_on_where_the_trail_ends(
    lasts: list[Head], local: Head | None, spooled: list[Entry], expected: Start
) -> None:
    """Nothing is sent twice, nothing is skipped, and a stream that was cut back is not followed back."""
    assert reconcile(lasts, local, spooled) == expected


def test_the_head_is_replaced_whole_and_private(tmp_path: Path) -> None:
    """What was written is read back; only the owner can read it; a torn or missing file is no head."""
    assert read_head(tmp_path) is None
    write_head(tmp_path, head(1))
    write_head(tmp_path, head(2))
    assert read_head(tmp_path) == head(2)
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    (tmp_path / FILE).write_bytes(b'{"slot":')
    assert read_head(tmp_path) is None
