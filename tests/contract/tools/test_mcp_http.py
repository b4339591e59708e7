"""MCP servers over streamable HTTP, on a real one of loopback: what is sent, what is not followed, what is not read."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agents.mcp.errors import McpDown, McpError, McpFailed, McpTimedOut
from agents.mcp.pins import Seen
from agents.mcp.server import Around, Server, Times, Told
from schemas.agent import McpServer
from tests.contract.tools.mcp_place import settled
from tests.harness.fleet import until
from tests.harness.mcp_sdk_server import HttpServer, http_server

SECRET = "a-token-of-the-agent"
JSON = {"content-type": "application/json"}


@pytest.fixture
async def http() -> AsyncIterator[HttpServer]:
    """A server on loopback."""
    async with http_server() as running:
        yield running


@asynccontextmanager
async def client(http: HttpServer, folder: Path, **spec: Any) -> AsyncIterator[Server]:
    """A server's client that was up, or could not be."""
    whole = {"url": http.url, "tools": ("*",), "timeout_s": 30, **spec}
    told = Told(on_up=lambda _: None, on_down=lambda _: None, on_changed=lambda *_: None)
    server = Server(
        "sums", McpServer(**whole), Around(folder, Seen(), told, Times(first_wait_s=0.01, longest_wait_s=0.02))
    )
    async with settled(server):
        yield server


async def is_up(server: Server) -> None:
    """Wait until it is."""

    async def looked() -> bool:
        return server.state == "up"

    await until(looked)


async def test_a_server_is_called_with_its_headers(
    http: HttpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A secret by reference is in every request, and the proxies of the environment are not asked."""
    monkeypatch.setenv("SOME_TOKEN", SECRET)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    async with client(http, tmp_path, headers={"Authorization": "Bearer env:SOME_TOKEN"}) as server:
        assert await server.call("add", {"a": 2, "b": 3}) == "5"
        with pytest.raises(McpFailed):
            await server.call("add", {"a": "x"})
    assert {request["authorization"] for request in http.requests} == {f"Bearer {SECRET}"}
    assert SECRET not in repr(server.problem)


async def test_a_call_has_its_time(http: HttpServer, tmp_path: Path) -> None:
    """A call that takes too long, or is cancelled, costs no other one."""
    async with client(http, tmp_path, timeout_s=0.2) as server:
        with pytest.raises(McpTimedOut):
            await server.call("forever", {})
        assert await server.call("add", {"a": 2, "b": 3}) == "5"
    async with client(http, tmp_path) as server:
        before = len(http.requests)
        call = asyncio.create_task(server.call("forever", {}))

        async def was_asked() -> bool:
            return len(http.requests) > before

        await until(was_asked)
        call.cancel()
        assert await server.call("add", {"a": 2, "b": 3}) == "5"


async def test_a_redirect_to_elsewhere_is_not_followed(http: HttpServer, tmp_path: Path) -> None:
    """What is meant for one server, a secret among it, goes to no other, whatever the first one says."""
    async with http_server() as elsewhere, client(http, tmp_path, headers={"X-Plain": "p"}) as server:
        for status in (302, 307, 308):
            http.answer = (status, {"location": elsewhere.url}, b"")
            with pytest.raises(McpError):
                await server.call("add", {"a": 2, "b": 3})
        assert elsewhere.requests == []
        http.answer = None
        assert await server.call("add", {"a": 2, "b": 3}) == "5"


@pytest.mark.parametrize(
    "answer",
    [
        (200, JSON, b'{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"' + b"x" * 5_000_000),
        (200, {**JSON, "content-encoding": "gzip"}, gzip.compress(b"x" * 5_000_000)),
        (200, {"content-type": "text/event-stream"}, b"data: " + b"x" * 5_000_000),
        (200, JSON, b"[" * 100_000),
        (500, {"content-type": "text/html"}, b"<html>"),
    ],
    ids=["too long", "packed", "an endless event", "too deep", "an error page"],
)
async def test_what_is_no_answer_is_told_and_costs_no_other_call(
    http: HttpServer, tmp_path: Path, answer: tuple[int, dict[str, str], bytes]
) -> None:
    """Neither memory nor the next call suffers from what a server sends."""
    async with client(http, tmp_path) as server:
        http.answer = answer
        with pytest.raises(McpError) as failure:
            await server.call("add", {"a": 2, "b": 3})
        assert len(f"{failure.value} {failure.value.found}") < 2_000
        assert failure.value.is_outage or answer[0] == 200
        http.answer = None
        await is_up(server)
        assert await server.call("add", {"a": 2, "b": 3}) == "5"


async def test_a_server_that_is_away_is_found_when_it_is_back(tmp_path: Path) -> None:
    """Nobody has to start the agent again."""
    async with http_server() as http:
        url = http.url
    gone = HttpServer(url)
    async with client(gone, tmp_path) as server:
        assert (server.state, server.problem) == ("down", "All connection attempts failed")
        with pytest.raises(McpDown):
            await server.call("add", {})
        async with http_server(port=int(url.split(":")[2].split("/")[0])):
            await is_up(server)
            assert await server.call("add", {"a": 2, "b": 3}) == "5"
