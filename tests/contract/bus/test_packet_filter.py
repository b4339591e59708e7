"""The packet filter in the kernel: who tries to connect too often waits, alone, and at the bus's ports only."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from bus.provision.packet_filter import TABLE, packet_filter
from schemas.fleet import Fleet, Listen, Member
from tests.harness.network import NFT, NOBODY, dropped, enter_own_network, load, needs_nft, run, unload

_SCRIPT = Path(__file__).parents[2] / "harness" / "attempts.py"
_PORT, _OTHER, _ROUTES = 4222, 4223, 6222
_TRIED, _AT_ONCE = 600, 100
_HERE, _THERE, _BESIDE, _HERE6, _THERE6 = "10.9.0.1", "10.9.0.2", "10.9.0.3", "fd00:9::1", "fd00:9::2"
_FLEET = Fleet(name="one", agents={}, nats=Listen(port=_PORT))


def _of_three(*hosts: str) -> Fleet:
    members = tuple(Member(host=host, port=_PORT, route_port=_ROUTES) for host in hosts)
    return Fleet(name="three", agents={}, nats=Listen(cluster=members))


def _attempts(
    host: str, port: int, *, user: int = NOBODY, least: int = _AT_ONCE, source: str = "", inside: str = ""
) -> int:
    """How many of many were let in; `inside`: a process in whose network they are made."""
    within = ["nsenter", "--net", "--target", inside] if inside else []
    command = [*within, sys.executable, "-IS", str(_SCRIPT), host, str(port), str(_TRIED), str(user), str(least)]
    return int(run(*command, *([source] if source else [])))


@contextmanager
def _listening(family: socket.AddressFamily = socket.AF_INET) -> Iterator[None]:
    """At the bus's port, at that of routes and at another one, on every address; nobody is spoken to."""
    with ExitStack() as stack:
        for port in (_PORT, _OTHER, _ROUTES):
            address = "::" if family == socket.AF_INET6 else "0.0.0.0"  # noqa: S104  of a network that nobody is in
            stack.enter_context(socket.create_server((address, port), family=family, backlog=2 * _TRIED))
        yield


@pytest.fixture(scope="module")
def within() -> Iterator[Callable[[Callable[[], None]], None]]:
    """Has something done in a network of its own."""
    with ThreadPoolExecutor(1, initializer=enter_own_network) as thread:
        yield lambda do: thread.submit(do).result()


@pytest.fixture
def loaded(tmp_path: Path) -> Callable[[Fleet], None]:
    """Puts the filter of a fleet in force, all its counters at 0."""

    def put(fleet: Fleet) -> None:
        file = tmp_path / "filter.nft"
        file.write_text(packet_filter(fleet))
        load(file)

    return put


@needs_nft
def test_a_user_who_tries_too_often_waits_alone(
    within: Callable[[Callable[[], None]], None], loaded: Callable[[Fleet], None]
) -> None:
    """Of one user some hundreds are let in at once; another user is, meanwhile; another port knows no bound."""

    def look() -> None:
        with _listening():
            loaded(_FLEET)
            assert _AT_ONCE <= _attempts("127.0.0.1", _PORT) < _TRIED
            before = dropped()
            assert before["local_dropped"] > 0
            assert before["remote_dropped"] == 0
            with socket.create_connection(("127.0.0.1", _PORT), timeout=30):
                pass
            assert _attempts("127.0.0.1", _OTHER, least=_TRIED) == _TRIED
            assert dropped() == before
            unload()
            assert _attempts("127.0.0.1", _PORT, least=_TRIED) == _TRIED

    within(look)


@needs_nft
def test_an_address_that_tries_too_often_waits_alone(
    within: Callable[[Callable[[], None]], None], loaded: Callable[[Fleet], None]
) -> None:
    """The same for another machine, by IPv4 and IPv6; servers of one cluster never wait for each other."""

    def look() -> None:
        command = ["unshare", "--net", "sh", "-c", "echo there; exec cat"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
            try:
                assert other.stdout is not None
                assert other.stdout.readline() == b"there\n"
                _joined(str(other.pid))
                _looked(str(other.pid))
            finally:
                other.kill()

    def _looked(there: str) -> None:
        for family, host in ((socket.AF_INET, _HERE), (socket.AF_INET6, _HERE6)):
            with _listening(family):
                loaded(_FLEET)
                assert _AT_ONCE <= _attempts(host, _PORT, inside=there) < _TRIED
                before = dropped()
                assert before["remote_dropped"] > 0
                assert before["local_dropped"] == 0
                assert _attempts(host, _OTHER, inside=there, least=_TRIED) == _TRIED
                assert dropped() == before
        with _listening():
            loaded(_of_three(_HERE, _THERE, "10.9.0.9"))
            assert _attempts(_HERE, _ROUTES, inside=there, source=_THERE, least=_TRIED) == _TRIED
            assert _AT_ONCE <= _attempts(_HERE, _ROUTES, inside=there, source=_BESIDE) < _TRIED
            assert _AT_ONCE <= _attempts(_HERE, _PORT, inside=there, source=_BESIDE) < _TRIED

    within(look)


def _joined(there: str) -> None:
    """A cable between this network and another one."""
    run("ip", "link", "add", "here", "type", "veth", "peer", "name", "there", "netns", there)
    inside = ("nsenter", "--net", "--target", there)
    for prefix, link, addresses in (((), "here", (_HERE,)), (inside, "there", (_THERE, _BESIDE))):
        for address in addresses:
            run(*prefix, "ip", "address", "add", f"{address}/24", "dev", link)
        last = _HERE6 if link == "here" else _THERE6
        run(*prefix, "ip", "address", "add", f"{last}/64", "dev", link, "nodad")
        run(*prefix, "ip", "link", "set", link, "up")


@needs_nft
def test_it_touches_its_own_table_alone(
    within: Callable[[Callable[[], None]], None], loaded: Callable[[Fleet], None]
) -> None:
    """Loading it again, and taking it away where it is not, changes nothing else."""

    def look() -> None:
        unload()
        run(NFT, "add table inet other")
        loaded(_FLEET)
        loaded(_FLEET)
        assert f"table {TABLE}" in run(NFT, "list", "tables")
        unload()
        unload()
        assert run(NFT, "list", "tables") == "table inet other\n"

    within(look)


def _ports(text: str) -> list[str]:
    return re.findall(r"dport \{ ([\d, ]+) \}", text)


@pytest.mark.parametrize(
    ("fleet", "ports", "members"),
    [
        (_FLEET, ["4222", "4222", "4222"], ""),
        (_of_three("10.0.0.1", "10.0.0.2", "fd00::1"), ["4222, 6222", "6222", "6222", "4222, 6222", "4222, 6222"],
         "ip saddr { 10.0.0.1, 10.0.0.2 } ip6 saddr { fd00::1 }"),
        (_of_three("a.test", "b.test", "10.0.0.1"), ["4222, 6222", "4222", "4222"], ""),
    ],
    ids=("one server", "three with addresses", "three with names"),
)  # fmt: skip
def test_the_ports_are_the_fleets(fleet: Fleet, ports: list[str], members: str) -> None:
    """Clients' and routes' ports; where members have names only, other machines' routes are let alone: no name is asked for."""
    text = packet_filter(fleet)
    assert _ports(text) == ports
    assert " ".join(re.findall(r"ip6? saddr \{ .* \}(?= tcp)", text)) == members
