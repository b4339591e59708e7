"""The HTTP responder: which paths, which methods, and how much it takes on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bus import unix_sockets
from bus.health.checks import Finding, Health
from bus.health.doors import Doors
from bus.health.errors import NoListener
from bus.health.http import Limits, Responder
from bus.health.listener import Listener
from bus.health.pages import HealthPages
from schemas.errors import InvalidDocument
from tests.harness.health import asked


@pytest.fixture
def health() -> Health:
    """Of a process that serves."""
    made = Health("agent-greeter")
    made.stage = "serving"
    return made


@contextlib.asynccontextmanager
async def answering(folder: Path, health: Health, limits: Limits | None = None) -> AsyncIterator[Path]:
    """A responder on a socket in `folder`."""
    path = folder / "health.sock"
    responder = Responder(HealthPages(health, "1.2.3", 0.0).table(), limits)
    await responder.start(unix_sockets.listening(path))
    try:
        yield path
    finally:
        await responder.close()


async def exchanged(path: Path, request: bytes) -> bytes:
    """What comes back until the other side closes."""
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(request)
    try:
        return await reader.read()
    finally:
        writer.close()


@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready", "/live", "/ready", "/readiness"])
async def test_every_path_says_that_all_is_well(tmp_path: Path, health: Health, path: str) -> None:
    """Each path and each alias answers 200 with JSON that names the process; HEAD the same without a body."""
    async with answering(tmp_path, health) as socket:
        told = await asked(socket, path)
        assert (told.status, told.body["process"], told.body["version"]) == (200, "agent-greeter", "1.2.3")
        assert told.headers["content-type"] == "application/json"
        assert told.headers["cache-control"] == "no-store"
        head = await asked(socket, path, "HEAD")
        assert (head.status, head.text) == (200, "")


async def test_what_failed_is_named_and_only_in_detail_why(tmp_path: Path, health: Health) -> None:
    """A failed check is 503 everywhere but for liveness; the reason stands with the components."""
    health.add("server", lambda: Finding("failed", "not connected"))
    health.add("loop", lambda: Finding("degraded", "late"))
    async with answering(tmp_path, health) as socket:
        ready = await asked(socket, "/ready")
        assert (ready.status, ready.body["failed"]) == (503, ["server"])
        assert (await asked(socket, "/live")).status == 200
        short, full = await asked(socket, "/health"), await asked(socket, "/health?detailed=true")
        assert (short.status, short.body["status"], "components" in short.body) == (503, "failed", False)
        assert full.body["components"] == {
            "stage": {"status": "ok"},
            "server": {"status": "failed", "reason": "not connected"},
            "loop": {"status": "degraded", "reason": "late"},
        }


async def test_degraded_is_ready(tmp_path: Path, health: Health) -> None:
    """What is degraded still works: 200, and it says so."""
    health.add("loop", lambda: Finding("degraded", "late"))
    async with answering(tmp_path, health) as socket:
        told = await asked(socket, "/health")
        assert (told.status, told.body["status"]) == (200, "degraded")
        assert (await asked(socket, "/ready")).status == 200


@pytest.mark.parametrize(("stage", "word"), [("starting", "starting"), ("draining", "draining")])
async def test_a_process_that_takes_no_work_is_not_ready(tmp_path: Path, health: Health, stage: str, word: str) -> None:
    """Before it serves, and once it drains."""
    health.stage = stage  # type: ignore[assignment]  # one of the stages
    async with answering(tmp_path, health) as socket:
        told = await asked(socket, "/readiness")
        assert (told.status, told.body["failed"], told.body["stage"]) == (503, ["stage"], word)


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"POST /health HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", b"405"),
        (b"DELETE /health HTTP/1.1\r\nHost: a\r\n\r\n", b"405"),
        (b"PUT /health HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9999\r\n\r\n", b"405"),
        (b"GET /health HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", b"413"),
        (b"GET /health HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", b"413"),
        (b"GET /secret<script> HTTP/1.1\r\nHost: a\r\n\r\n", b"404"),
        (b"GET /health?" + b"&".join([b"a=1"] * 30) + b" HTTP/1.1\r\nHost: a\r\n\r\n", b"400"),
        (b"GET /health HTTP/1.1\r\n\r\n", b"400"),
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", b"400"),
        (b"GET /health HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 9000, b"431"),
    ],
)
async def test_what_is_refused(tmp_path: Path, health: Health, request_bytes: bytes, status: bytes) -> None:
    """Other methods, bodies, unknown paths, and what is no request: refused, and nothing of it comes back."""
    async with answering(tmp_path, health) as socket:
        answer = await exchanged(socket, request_bytes)
        assert answer.startswith(b"HTTP/1.1 " + status)
        assert b"script" not in answer


async def test_who_holds_connections_open_keeps_no_probe_out(tmp_path: Path, health: Health) -> None:
    """The oldest connection gives way to a new one, and a silent one is closed when its time is over."""
    async with answering(tmp_path, health, Limits(connections=3, timeout_s=0.3)) as socket:
        idle = [await asyncio.open_unix_connection(str(socket)) for _ in range(10)]
        assert (await asked(socket, "/live")).status == 200
        assert [await reader.read() for reader, _ in idle] == [b""] * 10
        for _, writer in idle:
            writer.close()


async def test_connections_are_bounded_however_many_come_at_once(tmp_path: Path, health: Health) -> None:
    """Of many that are accepted in one turn of the loop, all but the last few are closed before their time is over."""
    async with answering(tmp_path, health, Limits(connections=3, timeout_s=3600)) as socket:
        idle = await asyncio.gather(*(asyncio.open_unix_connection(str(socket)) for _ in range(60)))
        closed = [asyncio.create_task(reader.read()) for reader, _ in idle]
        for number, ended in enumerate(asyncio.as_completed(closed)):
            assert await ended == b""
            if number == 56:
                break
        assert (await asked(socket, "/live")).status == 200
        for _, writer in idle:
            writer.close()
        await asyncio.gather(*closed)


async def test_each_port_answers_for_its_own_pages(tmp_path: Path, health: Health) -> None:
    """Metrics are not on the port for health, nor the other way round; the socket has everything, and goes at the end."""
    pages = HealthPages(health, "1", 0.0).table()
    pages = {**pages, "/metrics": pages["/live"]}
    listener = Listener(Doors(tmp_path / "deep" / "h.sock", health_port=0, metrics_port=None), pages)
    both = Listener(Doors(None, health_port=None, metrics_port=0), pages)
    await listener.start()
    await both.start()
    health_port, metrics_port = listener.ports["/health"], both.ports["/metrics"]

    async def statuses(where: Path | int) -> list[int]:
        return [(await asked(where, path)).status for path in ("/live", "/metrics")]

    assert await statuses(health_port) == [200, 404]
    assert await statuses(metrics_port) == [404, 200]
    assert await statuses(tmp_path / "deep" / "h.sock") == [200, 200]
    taken = Listener(Doors(health_port=health_port), pages)
    with pytest.raises(NoListener, match="name another port"):
        await taken.start()
    await listener.close()
    await both.close()
    assert list((tmp_path / "deep").iterdir()) == []


async def test_a_socket_of_a_process_that_died_is_replaced(tmp_path: Path, health: Health) -> None:
    """The next process listens in its place, also at the end of a long path, and leaves a third one's alone."""
    path = tmp_path / ("long" * 30) / "health.sock"
    path.parent.mkdir()
    unix_sockets.listening(path).close()
    pages = HealthPages(health, "1", 0.0).table()
    first, second = Listener(Doors(path), pages), Listener(Doors(path), pages)
    await first.start()
    await second.start()
    await first.close()
    assert (await asked(path, "/live")).status == 200
    await second.close()
    assert not path.exists()


@pytest.mark.parametrize(
    ("environment", "doors"),
    [
        ({}, Doors()),
        ({"RUNTIME_DIRECTORY": "/run/agentbus/a:/run/b"}, Doors(Path("/run/agentbus/a/health.sock"))),
        ({"AGENTBUS_HEALTH_SOCKET": "/x/y", "RUNTIME_DIRECTORY": "/run/a"}, Doors(Path("/x/y"))),
        (
            {"AGENTBUS_HEALTH_PORT": "8080", "AGENTBUS_METRICS_PORT": "9090", "AGENTBUS_HTTP_HOST": "::1"},
            Doors(None, 8080, 9090, "::1"),
        ),
    ],
)
def test_doors_are_what_the_environment_says(environment: dict[str, str], doors: Doors) -> None:
    """The socket of `agentbus up`, else systemd's runtime folder; ports only where they are named."""
    assert Doors.from_environment(environment) == doors
    assert not doors.is_exposed


def test_exposed_doors_are_known() -> None:
    """An address that others reach is told from loopback."""
    assert Doors.from_environment({"AGENTBUS_HEALTH_PORT": "1", "AGENTBUS_HTTP_HOST": "192.0.2.1"}).is_exposed
    assert not Doors.from_environment({"AGENTBUS_HTTP_HOST": "192.0.2.1"}).is_exposed


@pytest.mark.parametrize(
    ("name", "value"),
    [("AGENTBUS_HEALTH_PORT", "70000"), ("AGENTBUS_METRICS_PORT", "-1"), ("AGENTBUS_HTTP_HOST", "localhost")],
)
def test_what_makes_no_sense_is_refused(name: str, value: str) -> None:
    """The message names the variable."""
    with pytest.raises(InvalidDocument, match=name):
        Doors.from_environment({name: value})


def test_the_environment_goes_before_the_file() -> None:
    """A port of the agent's file counts where the environment names none."""
    doors = Doors.from_environment({"AGENTBUS_HEALTH_PORT": "8080"}).or_ports(1, 2)
    assert (doors.health_port, doors.metrics_port) == (8080, 2)
