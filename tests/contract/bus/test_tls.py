"""TLS between the server and everybody else: who believes whom, and how a certificate is renewed."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from cryptography import x509

from agents.demo.stage import find_nats
from bus.address import address_of, read_address
from bus.connection import Connection
from bus.errors import ConnectionRefused, NotProvisioned
from bus.jetstream import call
from bus.provision.authority import (
    begin,
    believed,
    digest_of,
    end,
    require_own_authority,
    require_shown,
    take_over,
)
from bus.provision.members import server_url
from bus.provision.provision import put_in_force
from bus.provision.tls import SERVER_DAYS, ensure_tls, expires_at
from bus.surroundings import Home
from schemas import names
from schemas.documents import parse_yaml
from schemas.errors import InvalidDocument
from schemas.fleet import Fleet
from tests.contract.bus.test_flood import work_goes_on
from tests.harness.fleet import Bench, bench, until
from tests.harness.needs import needs_nats

module_loop = pytest.mark.asyncio(loop_scope="module")


def _encrypted(fleet: dict[str, Any]) -> None:
    fleet["nats"]["tls"] = {"names": ["bus.example"]}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def secured(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bench]:
    """The example fleet, whose server speaks TLS."""
    async with bench(tmp_path_factory.mktemp("tls"), _encrypted) as running:
        yield running


def _fleet(text: str) -> Fleet:
    return parse_yaml(f"name: x\nagents: {{}}\nnats: {text}\n", Fleet, "fleet.yaml")


@module_loop
async def test_a_fleet_works_over_tls(secured: Bench) -> None:
    """Provisioned through it, requests are answered through it: by the server's JetStream, and by another process."""
    assert secured.url.startswith("tls://127.0.0.1:")
    assert secured.url == server_url(secured.fleet, secured.home)
    worker = await secured.connect("textstats")
    heard = asyncio.Event()
    await worker.subscribe("a2a.v1.roll.*", lambda _: heard.set())
    await worker.flush()
    person = await secured.connect("ops")
    await person.publish("a2a.v1.roll.ops")
    await asyncio.wait_for(heard.wait(), 10)
    auditor = await secured.connect("auditor", names.OWN_CREDENTIAL)
    assert (await call(auditor, f"STREAM.INFO.{names.AUDIT}"))["config"]["name"] == names.AUDIT


@module_loop
async def test_large_messages_go_through_whole(secured: Bench) -> None:
    """What takes many records of TLS arrives as it was sent."""
    worker, person = await secured.connect("greeter"), await secured.connect("ops")
    got: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    await worker.subscribe("a2a.v1.req.greeter.*.*", lambda message: got.set_result(message.data))
    await worker.flush()
    sent = os.urandom(900_000)
    await person.publish("a2a.v1.req.greeter.ops.SendMessage", sent)
    assert await asyncio.wait_for(got, 10) == sent


@module_loop
async def test_nothing_is_said_in_the_clear(secured: Bench) -> None:
    """A client without TLS hears nothing, not even the server's greeting, and is not let in."""
    reader, writer = await asyncio.open_connection(secured.fleet.nats.host, secured.fleet.nats.port)
    writer.write(b'CONNECT {"verbose":false}\r\nPING\r\n')
    assert not (await asyncio.wait_for(reader.read(), 10)).startswith(b"INFO")
    writer.transport.abort()


@module_loop
async def test_another_authority_is_not_believed(secured: Bench, tmp_path: Path) -> None:
    """A server with another authority's certificate is not spoken to."""
    foreign = Home(tmp_path)
    ensure_tls(_fleet("{tls: true}"), foreign)
    url = address_of(secured.fleet.nats.host, secured.fleet.nats.port, foreign.ca)
    with pytest.raises(ConnectionRefused, match="CERTIFICATE_VERIFY_FAILED"):
        await secured.connect("ops", url=url, wait_for_server=False)


@module_loop
async def test_another_name_is_not_believed(secured: Bench) -> None:
    """A certificate that is not for the name in the address is another server's; names of the fleet file are in it."""
    context = read_address(secured.url).context()
    host, port = secured.fleet.nats.host, secured.fleet.nats.port
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        await asyncio.open_connection(host, port, ssl=context, server_hostname="elsewhere.example")
    for name in ("bus.example", "localhost"):
        _, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=name)
        writer.transport.abort()


@module_loop
async def test_older_versions_are_not_spoken(secured: Bench) -> None:
    """TLS 1.2 is refused by the server, and clients of ours do not offer it."""
    context = read_address(secured.url).context()
    assert context
    assert context.minimum_version == ssl.TLSVersion.TLSv1_3
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.open_connection(secured.fleet.nats.host, secured.fleet.nats.port, ssl=context)


@module_loop
async def test_a_renewed_certificate_is_in_force_after_a_reload(secured: Bench) -> None:
    """Who was connected stays; who comes is shown the new one."""
    person = await secured.connect("ops")
    before = expires_at(secured.home.server_certificate)
    late = datetime.now(UTC) + timedelta(days=SERVER_DAYS * 3 // 4)
    assert ensure_tls(secured.fleet, secured.home, late)
    after = expires_at(secured.home.server_certificate)
    assert after > before
    secured.server.reload()

    async def is_shown() -> bool:
        context = read_address(secured.url).context()
        if context is not None:
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        _, writer = await asyncio.open_connection(secured.fleet.nats.host, secured.fleet.nats.port, ssl=context)
        shown = x509.load_der_x509_certificate(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
        writer.transport.abort()
        return shown.not_valid_after_utc == after

    await until(is_shown, timeout_s=10)
    await person.flush()
    assert person.reconnects == 0
    assert not ensure_tls(secured.fleet, secured.home, late)
    secured.home.server_certificate.unlink()
    await put_in_force(secured.fleet, secured.home, [secured.server])
    assert person.reconnects == 0


@module_loop
async def test_handshakes_that_are_not_gone_on_with_keep_nobody_out(secured: Bench) -> None:
    """They cost the server more than its clients; work goes on all the same."""
    await work_goes_on(secured, "handshakes not gone on with")


@needs_nats
@module_loop
async def test_the_plain_command_connects(secured: Bench) -> None:
    """The context that is made for the `nats` command speaks TLS, and believes the fleet's authority."""
    worker = await secured.connect("greeter")
    heard = asyncio.Event()
    await worker.subscribe("a2a.v1.roll.*", lambda _: heard.set())
    await worker.flush()
    environment = {**os.environ, "XDG_CONFIG_HOME": str(secured.home.contexts)}
    command = [find_nats() or "nats", "--context", "ops", "pub", "a2a.v1.roll.ops", "x"]
    done = await asyncio.to_thread(
        subprocess.run, command, env=environment, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    await asyncio.wait_for(heard.wait(), 10)


@module_loop
async def test_another_authority_takes_over(secured: Bench, tmp_path: Path) -> None:
    """Whoever is connected stays, both are believed meanwhile, then the new one alone; a process needs no new start for it.

    Each step may be repeated, and the fleet file put in force between any two of them.
    """
    fleet, home, old = secured.fleet, secured.home, tmp_path / "old.pem"
    person, before = await secured.connect("ops"), home.ca.read_bytes()
    old.write_bytes(before)
    for _ in range(2):
        begin(fleet, home)
        await put_in_force(fleet, home, [secured.server])
        assert (len(believed(home)), home.ca.read_bytes().startswith(before)) == (2, True)
    take_over(home)
    with pytest.raises(NotProvisioned, match="both authorities are believed still"):
        await require_shown(fleet, home)
    for _ in range(2):
        take_over(home)
        await put_in_force(fleet, home, [secured.server])
        await require_shown(fleet, home)
    begin(fleet, home)
    assert end(home)[0] == digest_of(x509.load_pem_x509_certificate(before))
    assert (len(believed(home)), person.reconnects) == (1, 0)
    await (await secured.connect("ops")).close()
    url = address_of(fleet.nats.host, fleet.nats.port, old)
    stale = replace(secured.profile("ops", names.BUS_CREDENTIAL), url=url, wait_for_server=False)
    with pytest.raises(ConnectionRefused):
        await Connection.open(stale)
    await secured.server.stop()
    await _handshakes_fail(fleet.nats.host, fleet.nats.port)
    await secured.server.start()

    async def is_back() -> bool:
        return person.is_connected and person.reconnects == 1

    await until(is_back)


async def _handshakes_fail(host: str, port: int) -> None:
    """Whoever connects there is hung up on, some times in a row: that ends nobody's trying."""
    tried = asyncio.Semaphore(0)

    def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()
        tried.release()

    async with await asyncio.start_server(hang_up, host, port):
        for _ in range(4):
            await asyncio.wait_for(tried.acquire(), 30)


def test_an_authority_whose_key_is_lost_is_replaced(tmp_path: Path) -> None:
    """The old key is not needed; a fleet without an authority of its own has nothing to replace."""
    fleet, home = _fleet("{host: 127.0.0.1, tls: true}"), Home(tmp_path)
    ensure_tls(fleet, home)
    home.ca_key.unlink()
    with pytest.raises(NotProvisioned, match="fleet rotate --ca"):
        ensure_tls(fleet, home)
    begin(fleet, home)
    take_over(home)
    assert ensure_tls(fleet, home)
    end(home)
    assert not ensure_tls(fleet, home)
    for text in ("{host: 127.0.0.1}", "{host: 127.0.0.1, tls: {cert_file: a, key_file: b, ca_file: c}}"):
        with pytest.raises(NotProvisioned):
            require_own_authority(_fleet(text))


def test_the_certificates_are_as_they_should_be(tmp_path: Path) -> None:
    """The authority signs servers alone and its key lies apart; each key is its owner's; nothing is made twice."""
    home, fleet = Home(tmp_path), _fleet("{host: 10.0.0.7, tls: {names: [bus.example]}}")
    assert ensure_tls(fleet, home)
    assert not ensure_tls(fleet, home)
    authority = x509.load_pem_x509_certificate(home.ca.read_bytes())
    shown = x509.load_pem_x509_certificate(home.server_certificate.read_bytes())
    shown.verify_directly_issued_by(authority)
    assert authority.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0
    assert not shown.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    alternatives = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert alternatives.get_values_for_type(x509.DNSName) == ["bus.example", "localhost"]
    assert [str(ip) for ip in alternatives.get_values_for_type(x509.IPAddress)] == ["10.0.0.7", "127.0.0.1", "::1"]
    modes = {path.name: path.stat().st_mode & 0o777 for path in (home.ca_key, home.server_key, home.ca)}
    assert modes == {"ca.key": 0o600, "server.key": 0o600, "ca.pem": 0o644}
    assert ensure_tls(_fleet("{host: 10.0.0.8}"), home)
    home.server_key.unlink()
    assert ensure_tls(_fleet("{host: 10.0.0.8}"), home)
    home.ca_key.unlink()
    with pytest.raises(NotProvisioned, match="is gone, without which"):
        ensure_tls(fleet, home)


def test_given_files_are_used(tmp_path: Path) -> None:
    """Clients get the authority of a certificate that is given; nothing is made."""
    theirs, home = Home(tmp_path / "theirs"), Home(tmp_path / "ours")
    ensure_tls(_fleet("{tls: true}"), theirs)
    given = {"cert_file": theirs.server_certificate, "key_file": theirs.server_key, "ca_file": theirs.ca}
    fleet = _fleet(json.dumps({"tls": {name: str(path) for name, path in given.items()}}))
    assert ensure_tls(fleet, home)
    assert home.ca.read_bytes() == theirs.ca.read_bytes()
    assert not home.server_key.exists()
    assert not home.ca_key.exists()


@pytest.mark.parametrize(
    ("nats", "has_tls"),
    [
        ("{}", False), ("{host: localhost}", False), ("{tls: true}", True), ("{tls: {names: [bus.example]}}", True),
        ("{host: 0.0.0.0}", True), ("{host: 192.0.2.1}", True), ("{host: '::'}", True), ("{host: '::1'}", False),
        ("{host: bus.example}", True),
    ],
)  # fmt: skip
def test_only_loopback_is_spoken_to_in_the_clear(nats: str, *, has_tls: bool) -> None:
    """TLS is on by itself wherever others can listen in."""
    assert _fleet(nats).nats.has_tls is has_tls


@pytest.mark.parametrize(
    ("nats", "said"),
    [("{host: 0.0.0.0, tls: false}", "tls may be off only"), ("{tls: {cert_file: /x}}", "come together")],
)
def test_it_cannot_be_turned_off_elsewhere(nats: str, said: str) -> None:
    """A fleet file that would have keys and messages in the clear on a network is refused."""
    with pytest.raises(InvalidDocument, match=said):
        _fleet(nats)


@pytest.mark.parametrize(
    "text",
    [
        "http://x:1",
        "tls://x:1?verify=no",
        "nats://x:1?ca=/x",
        "tls://x:1?ca=/a&ca=/b",
        "tls://x:1?ca=/a,nats://y:1",
        "tls://",
    ],
)
def test_a_strange_address_is_refused(text: str) -> None:
    """Nothing in an address turns verification off, and servers of one fleet are reached alike."""
    with pytest.raises(InvalidDocument):
        read_address(text)


async def test_an_authority_that_is_not_there_is_named(fleet_bench: Bench, tmp_path: Path) -> None:
    """A client that has no copy of the authority's certificate is told what to do."""
    with pytest.raises(InvalidDocument, match="or copy public"):
        await Connection.open(
            fleet_bench.profile("ops", names.BUS_CREDENTIAL, url=address_of("x", 1, tmp_path / "none"))
        )
