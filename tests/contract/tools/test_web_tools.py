"""`http_request` against real servers on loopback, which only an explicit setting lets them reach."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from agents.tools.catalogue import Place
from agents.tools.errors import ToolAway, ToolError, ToolFailed, ToolLate, ToolRefused, ToolUnusable
from agents.tools.sources import rows_of
from agents.tools.web.http_request import http_row
from schemas.agent import HttpSettings, Tools
from schemas.errors import InvalidDocument, Unavailable
from tests.harness.toolbox import Box, Told, called, toolbox
from tests.harness.web import NEVER, Web, answer, certified

SECRET = "a-secret-0123456789"


@pytest.fixture
async def web() -> AsyncIterator[Web]:
    async with Web() as server:
        yield server


def names(*addresses: Sequence[str]) -> Any:
    """A resolver whose names have these addresses, the next ones at each question; the last ones stay."""
    left = list(addresses)
    asked: list[str] = []

    async def resolve(host: str, _: int) -> list[str]:
        asked.append(host)
        return list(left.pop(0) if len(left) > 1 else left[0])

    resolve.asked = asked  # type: ignore[attr-defined]
    return resolve


def box(web: Web, resolve: Any = None, told: Told | None = None, **settings: Any) -> Box:
    """The tool for the server under the name `a.example`, unless the settings say otherwise."""
    known = {"hosts": [f"a.example:{web.port}"], "allow_private": [web.place]} | settings
    read = HttpSettings.model_validate(known)
    return toolbox([http_row(read, resolve or names(["127.0.0.1"])).under(read)], told)


async def ask(tools: Box, url: str, **more: Any) -> str:
    """What a model is told."""
    return await called(tools, "http_request", url=url, **more)


async def test_a_request_and_its_answer(web: Web) -> None:
    """Status, a few headers and the text; the host is named, nothing is kept open."""
    web.answers["/a"] = answer(200, "héllo", {"Content-Type": "text/plain; charset=utf-8", "X-Other": "1"})
    url = f"http://a.example:{web.port}/a"
    said = await ask(box(web), f"{url}?q=1", headers={"Accept": "text/plain"})
    assert said == f"200 {url}?q=1\ncontent-type: text/plain; charset=utf-8\n\nhéllo"
    (asked,) = web.requests
    assert (asked.method, asked.path, asked.headers["host"]) == ("GET", "/a?q=1", f"a.example:{web.port}")
    assert (asked.headers["accept"], asked.headers["connection"]) == ("text/plain", "close")


async def test_a_body_is_sent_where_it_may_be(web: Web) -> None:
    """With a method that the file allows, and not beyond its length."""
    url = f"http://a.example:{web.port}/a"
    web.answers["/a"] = answer(201, "made")
    tools = box(web, methods=["POST"], max_request_bytes=10)
    assert (await ask(tools, url, method="POST", body='{"a": 1}')).startswith("201 ")
    assert (web.requests[0].body, web.requests[0].headers["content-type"]) == (b'{"a": 1}', "application/json")
    for more in ({"method": "POST", "body": "x" * 11}, {"method": "GET"}, {"method": "DELETE"}):
        with pytest.raises(ToolRefused):
            await ask(tools, url, **more)
    with pytest.raises(ToolRefused, match="takes no body"):
        await ask(box(web), url, body="x")
    assert len(web.requests) == 1


def test_only_methods_with_effects_make_it_a_tool_with_effects() -> None:
    """Reading is none; what the file allows decides."""
    reading = http_row(HttpSettings(hosts=("a.example",)))
    writing = http_row(HttpSettings(hosts=("a.example",), methods=("GET", "POST")))
    assert (reading.has_effects, writing.has_effects) == (False, True)


@pytest.mark.parametrize(
    "url",
    ["http://b.example:PORT/", "http://a.example:1/", "http://a.example/", "http://127.0.0.1:PORT/", "http://a.example.evil:PORT/",
     "http://evil-a.example:PORT/", "http://x.a.example:PORT/"],
)  # fmt: skip
async def test_hosts_that_are_not_listed_are_not_even_looked_up(web: Web, url: str) -> None:
    """Names can carry secrets to who answers for them."""
    resolve = names(["127.0.0.1"])
    with pytest.raises(ToolRefused, match="may not be reached"):
        await ask(box(web, resolve), url.replace("PORT", str(web.port)))
    assert (resolve.asked, web.connections) == ([], 0)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "169.254.169.254", "10.0.0.1", "::ffff:127.0.0.1"])
async def test_a_listed_name_does_not_lead_inside(web: Web, address: str) -> None:
    """Whoever owns the name cannot point it at this machine or its network."""
    with pytest.raises(ToolRefused, match="inside the network"):
        await ask(box(web, names([address]), allow_private=[]), f"http://a.example:{web.port}/")
    assert web.connections == 0


async def test_one_address_inside_is_one_too_many(web: Web) -> None:
    """A name of several addresses is not tried until one is let through."""
    with pytest.raises(ToolRefused, match="inside the network"):
        await ask(box(web, names(["127.0.0.1", "10.0.0.1"])), f"http://a.example:{web.port}/")
    assert web.connections == 0


async def test_the_next_address_is_tried_where_one_takes_no_connection(web: Web) -> None:
    """All of them were checked; where none takes one, that is an outage."""
    web.answers["/"] = answer(200, "ok")
    tools = box(
        web, names(["127.0.0.9", "127.0.0.1"], ["127.0.0.9"]), allow_private=[web.place, f"127.0.0.9:{web.port}"]
    )  # fmt: skip
    assert (await ask(tools, f"http://a.example:{web.port}/")).endswith("ok")
    with pytest.raises(ToolAway, match="cannot be reached: "):
        await ask(tools, f"http://a.example:{web.port}/")


async def test_the_system_s_own_names_are_checked_too(web: Web) -> None:
    """`localhost`, and numbers that resolve to an address."""
    for host in ("localhost", "2130706433", "127.1"):
        settings = HttpSettings(hosts=(f"{host}:{web.port}",))
        with pytest.raises(ToolRefused, match="inside the network"):
            await ask(toolbox([http_row(settings)]), f"http://{host}:{web.port}/")
    assert web.connections == 0


async def test_the_address_that_was_checked_is_the_one_that_is_reached(web: Web) -> None:
    """Rebinding: the name is asked for once for a connection, so a second answer has no chance."""
    web.answers["/"] = answer(200, "ok")
    resolve = names(["127.0.0.1"], ["10.0.0.1"])
    assert (await ask(box(web, resolve), f"http://a.example:{web.port}/")).endswith("ok")
    assert resolve.asked == ["a.example"]


async def test_each_redirect_is_checked_anew(web: Web) -> None:
    """The name may have become another address by then."""
    web.answers["/"] = answer(302, "", {"Location": "/b"})
    web.answers["/b"] = answer(200, "inside")
    with pytest.raises(ToolRefused, match="inside the network"):
        await ask(box(web, names(["127.0.0.1"], ["127.0.0.2"])), f"http://a.example:{web.port}/")
    assert [asked.path for asked in web.requests] == ["/"]


@pytest.mark.parametrize(
    ("location", "settings", "said"),
    [
        ("http://b.example:PORT/b", {}, "such redirects are not followed"),
        ("http://b.example:PORT/b", {"redirects_to": "listed_hosts"}, "may not be reached"),
        ("http://a.example:1/b", {}, "may not be reached"),
        ("file:///etc/passwd", {}, "no address"),
        ("http://user@a.example:PORT/b", {}, "no names and passwords"),
        ("/private/b", {"arguments": {"url": {"deny": ["**/private/**"]}}}, "is not allowed"),
        ("/%70rivate/b", {"arguments": {"url": {"deny": ["**/private/**"]}}}, "is not allowed"),
        ("/", {"redirects": 2}, "more than 2 times"),
        ("/b", {"redirects": 0}, "more than 0 times"),
    ],
)
async def test_redirects_lead_nowhere_else(web: Web, location: str, settings: dict[str, Any], said: str) -> None:
    """Not to other hosts, other ports, other protocols, nor around what the file says of addresses."""
    web.answers["/"] = answer(302, "", {"Location": location.replace("PORT", str(web.port))})
    web.answers["/b"] = web.answers["/private/b"] = answer(200, "reached")
    with pytest.raises((ToolRefused, ToolFailed), match=said):
        await ask(box(web, **settings), f"http://a.example:{web.port}/")
    assert not any(asked.path.endswith("/b") for asked in web.requests)


async def test_redirects_within_the_host_are_followed(web: Web) -> None:
    """And become GET where every browser does so, without the body."""
    web.answers["/"] = answer(303, "", {"Location": "b?x=1"})
    web.answers["/b"] = answer(200, "there")
    said = await ask(box(web, methods=["POST"]), f"http://a.example:{web.port}/", method="POST", body="{}")
    assert said.startswith(f"200 http://a.example:{web.port}/b?x=1\n")
    assert [(asked.method, asked.body) for asked in web.requests] == [("POST", b"{}"), ("GET", b"")]


async def test_a_secret_goes_to_its_host_alone(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not where a redirect leads, though that may be followed; and the model never sees it, though a server repeats it."""
    monkeypatch.setenv("A_TOKEN", SECRET)
    async with Web() as other:
        web.answers["/"] = answer(307, "", {"Location": f"http://b.example:{other.port}/"})
        web.answers["/echo"] = answer(200, f"you sent {SECRET}")
        other.answers["/"] = answer(200, "other")
        tools = box(
            web, hosts=[f"a.example:{web.port}", f"b.example:{other.port}"], redirects_to="listed_hosts",
            allow_private=[web.place, other.place],
            headers={f"a.example:{web.port}": {"Authorization": "Bearer env:A_TOKEN"}},
        )  # fmt: skip
        assert (await ask(tools, f"http://a.example:{web.port}/")).endswith("other")
        assert web.requests[0].headers["authorization"] == f"Bearer {SECRET}"
        assert "authorization" not in other.requests[0].headers
        assert SECRET not in json.dumps([asked.headers for asked in other.requests])
        assert (await ask(tools, f"http://a.example:{web.port}/echo")).endswith("you sent [redacted]")


@pytest.mark.parametrize(
    "headers",
    [{"Host": "b"}, {"authorization": "x"}, {"Cookie": "a=b"}, {"Transfer-Encoding": "chunked"}, {"A": "b\r\nHost: c"},
     {"A\r\nHost": "c"}, {"Proxy-X": "1"}, {"X-Forwarded-For": "127.0.0.1"}, {"A": "é"}],
)  # fmt: skip
async def test_a_model_sets_no_header_that_decides_where_or_who(web: Web, headers: dict[str, str]) -> None:
    """And no second header within one."""
    with pytest.raises(InvalidDocument):
        await ask(box(web), f"http://a.example:{web.port}/", headers=headers)
    assert web.connections == 0


def test_a_secret_that_is_not_there_is_told_before_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The agent does not start."""
    monkeypatch.delenv("NO_TOKEN", raising=False)
    settings = {"hosts": ["a.example"], "headers": {"a.example": {"Authorization": "Bearer env:NO_TOKEN"}}}
    with pytest.raises(ToolUnusable, match=r"headers.a.example.Authorization: env:NO_TOKEN"):
        rows_of(Tools.model_validate({"http_request": settings}), Place(tmp_path))


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n"
ANSWERS = [
    (CHUNKED, "hello world"),
    (b"HTTP/1.1 100 Continue\r\n\r\n" + answer(200, "late"), "late"),
    (b"HTTP/1.0 200 OK\r\n\r\nto the end", "to the end"),
    (b"HTTP/1.1 204 None\r\n\r\n", ""),
    (answer(200, "x" * 300), "x" * 100 + "\n[cut: there were more than 100 bytes]"),
    (CHUNKED.replace(b"5\r\nhello", b"190\r\n" + b"y" * 400), "y" * 100 + "\n[cut: there were more than 100 bytes]"),
    (answer(200, b"\0\1\2"), "[3 bytes that are no text]"),
    (answer(200, "x", {"Content-Encoding": "gzip"}), "[1 bytes that are no text]"),
    (answer(200, "é".encode("latin-1"), {"Content-Type": "text/plain; charset=iso-8859-1"}), "é"),
    (answer(200, "x", {"Content-Type": "text/plain; charset=nothing"}), "x"),
]


@pytest.mark.parametrize(("raw", "text"), ANSWERS)
async def test_answers_are_read_in_every_form(web: Web, raw: bytes, text: str) -> None:
    """With a length, in chunks, to the end; never more than the file allows."""
    web.answers["/"] = raw
    said = await ask(box(web, max_bytes=100), f"http://a.example:{web.port}/")
    assert said.partition("\n\n")[2] == text


@pytest.mark.parametrize(
    "raw",
    [
        b"SSH-2.0-x\r\n", b"HTTP/1.1 999 X\r\n\r\n", b"HTTP/2 200\r\n\r\n", b"", answer(200, "abc")[:-1],
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nno header\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 300 + b"\r\n", CHUNKED.replace(b"5\r\n", b"zz\r\n"), CHUNKED[:-12],
        b"HTTP/1.1 100 Continue\r\n\r\n" * 20,
    ],
)  # fmt: skip
async def test_what_is_no_answer_is_said_so(web: Web, raw: bytes) -> None:
    """Cut, broken and endless ones."""
    web.answers["/"] = raw or b" "
    with pytest.raises(ToolFailed, match="broke off, or does not speak HTTP"):
        await ask(box(web), f"http://a.example:{web.port}/")


async def test_a_slow_server_is_left(web: Web) -> None:
    """The connection is closed, so that the server knows too."""
    web.answers["/"] = NEVER
    with pytest.raises(ToolLate):
        await ask(box(web, timeout_s=0.05), f"http://a.example:{web.port}/")
    await asyncio.wait_for(web.gone.wait(), 5)


async def test_what_is_not_there_is_said_so(web: Web) -> None:
    """No name, no server, no trust."""
    url = f"http://a.example:{web.port}/"
    with pytest.raises(ToolFailed, match="has no address"):
        await ask(box(web, names([])), url)
    closed = Web()
    async with closed:
        port = closed.port
    tools = box(web, hosts=[f"a.example:{port}"], allow_private=[f"127.0.0.1:{port}"])
    with pytest.raises(ToolFailed, match="cannot be reached"):
        await ask(tools, f"http://a.example:{port}/")


async def test_an_outage_is_the_server_s_and_not_the_model_s(web: Web) -> None:
    """Five outages in a row open the breaker, of that server alone; what the model does wrong opens none."""
    told = Told()
    closed = Web()
    async with closed:
        gone = closed.port
    tools = box(
        web, told=told, max_bytes=100, max_result_chars=200,
        hosts=[f"a.example:{web.port}", f"a.example:{gone}"], allow_private=[web.place, f"127.0.0.1:{gone}"],
    )  # fmt: skip
    url = f"http://a.example:{web.port}"
    web.answers |= {"/ill": answer(503, "x" * 300), "/well": answer(200, "ok")}
    for path, wrong in (("/none", {}), ("/none", {"method": "DELETE"}), ("/none", {"body": "x"})) * 2:
        with contextlib.suppress(ToolRefused):
            assert (await ask(tools, url + path, **wrong)).startswith("404 ")
    assert "breaker.opened" not in told.kinds
    for _ in range(5):
        with pytest.raises(ToolAway, match="cannot be reached"):
            await ask(tools, f"http://a.example:{gone}/")
    with pytest.raises(Unavailable, match="left alone"):
        await ask(tools, f"http://a.example:{gone}/")
    assert (await ask(tools, f"{url}/well")).endswith("ok")
    for _ in range(5):
        with pytest.raises(ToolAway, match=r"does not work now \(503\)") as failure:
            await ask(tools, f"{url}/ill")
        assert failure.value.found.startswith(f"503 {url}/ill")
        assert "x" * 100 in failure.value.found
    with pytest.raises(Unavailable, match="left alone"):
        await ask(tools, f"{url}/well")
    opened = [facts for kind, facts in told.events if kind == "breaker.opened"]
    assert [(facts["resource"], facts["reason"]) for facts in opened] == [("http_request", "away")] * 2


@pytest.mark.parametrize(
    ("error", "is_outage"),
    [(socket.gaierror(socket.EAI_NONAME, "none"), False), (socket.gaierror(socket.EAI_AGAIN, "again"), True)],
)
async def test_a_name_that_is_none_is_no_outage(web: Web, error: OSError, is_outage: bool) -> None:
    """Nobody to ask for names is one."""

    async def resolve(_: str, __: int) -> list[str]:
        raise error

    with pytest.raises(ToolError) as failure:
        await ask(box(web, resolve), f"http://a.example:{web.port}/")
    assert failure.value.is_outage == is_outage


async def test_a_server_proves_who_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over TLS, by the name that was asked for, to whom the machine trusts."""
    certificate = certified("a.example", tmp_path)
    async with Web(tls=certificate.server) as web:
        web.answers["/"] = answer(200, "ok")
        hosts = [f"{name}.example:{web.port}" for name in ("a", "b")]
        with pytest.raises(ToolFailed, match="cannot be trusted"):
            await ask(box(web), f"https://a.example:{web.port}/")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate.file))
        assert (await ask(box(web), f"https://a.example:{web.port}/")).endswith("ok")
        with pytest.raises(ToolFailed, match="cannot be trusted"):
            await ask(box(web, hosts=hosts), f"https://b.example:{web.port}/")
    assert len(web.requests) == 1


async def test_plain_http_is_for_what_the_file_allows(web: Web) -> None:
    """A public address is not asked in the clear, unless the file says so."""
    with pytest.raises(ToolRefused, match="use https://"):
        await ask(box(web, names(["1.1.1.1"]), hosts=["a.example"]), "http://a.example/")
