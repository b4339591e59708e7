"""Which addresses a model may reach, and how an address is read: pure, so every trick is a row."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.tools.errors import ToolRefused
from agents.tools.web.addresses import is_public, may_reach
from agents.tools.web.target import Target

REFUSED = [
    "0.0.0.0", "0.1.2.3",  # noqa: S104  no socket is bound
    "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254",
    "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.168.1.1", "198.18.0.1",
    "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "168.63.129.16",
    "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "fe80::1", "fe80::1%1",
    "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1", "2001::1", "2001:0:53aa:64c:0:0:0:1",
    "2002:7f00:1::", "2002:a9fe:a9fe::1", "2002:808:808::1", "64:ff9b::7f00:1", "64:ff9b::169.254.169.254", "64:ff9b:1::1", "100::1",
    "3fff::1", "5f00::1", "2606:4700::1%eth0",
]  # fmt: skip
PUBLIC = ["1.1.1.1", "8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00:1450::1",
          "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"]  # fmt: skip


@pytest.mark.parametrize("text", REFUSED)
def test_addresses_inside_are_refused_in_every_form(text: str) -> None:
    """Those of networks, of this machine, of a cloud's own services, and those that carry one of them."""
    assert not is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", PUBLIC)
def test_addresses_of_the_internet_are_reached(text: str) -> None:
    """Those that anybody may have."""
    assert is_public(ipaddress.ip_address(text))


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
def test_what_the_library_calls_private_is_never_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    """Our tables refuse whatever the standard library's do, and more."""
    if address.is_private or address.is_loopback or address.is_link_local or address.is_multicast:
        assert not is_public(address)


@given(st.ip_addresses(v=4))
def test_no_form_of_an_address_is_more_than_the_address(address: ipaddress.IPv4Address) -> None:
    """Carried in IPv6 it is judged as itself."""
    for form in (
        f"::ffff:{address}",
        f"64:ff9b::{address}",
    ):
        assert is_public(ipaddress.ip_address(form)) == is_public(address)


def test_an_exception_is_for_one_address_and_port() -> None:
    """Beside it nothing is allowed."""
    here = ipaddress.ip_address("127.0.0.1")
    assert may_reach(here, 80, ("127.0.0.1:80",))
    assert not may_reach(here, 81, ("127.0.0.1:80",))
    assert not may_reach(ipaddress.ip_address("127.0.0.2"), 80, ("127.0.0.1:80",))
    assert may_reach(ipaddress.ip_address("::1"), 80, ("[::1]:80",))


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a.example/", "file:///etc/passwd", "//a.example/", "a.example", "https://", "https:///x", "gopher://a/",
        "https://user@a.example/", "https://user:word@a.example/", "https://:word@a.example/", "https://a.example:0/",
        "https://a.example:99999/", "https://a.example:x/", "https://a.example\\@b.example/", "https://a.example/\\x",
        "https://a.exa\nmple/", "https://a.example/\r\nHost: b", "https://a.example/a b", "https://ä.example/",
        "https://a.example/../x", "https://a.example/x/..", "https://a.example/%2e%2e/x", "https://a.example/./x",
        "https://a.example/x%2f..%2fy", "https://a.example./", "https://.a.example/", "https://[::1]/", "https://-a/",
        "https://a..example/", "https://a_b.example/", "https://a.example/" + "x" * 9000,
    ],
)  # fmt: skip
def test_an_address_that_could_be_read_twice_is_refused(url: str) -> None:
    """Nobody else takes it for another one than we do."""
    with pytest.raises(ToolRefused):
        Target.read(url)


@pytest.mark.parametrize(
    ("url", "spelt"),
    [
        ("https://A.Example", "https://a.example/"),
        ("HTTPS://a.example:443/x?y=1#z", "https://a.example/x?y=1"),
        ("http://a.example:8080/x", "http://a.example:8080/x"),
        ("https://a.example/%61dmin/%2Fx%2f?q=%7e", "https://a.example/admin/%2Fx%2F?q=~"),
        ("https://a.example/é?ü", "https://a.example/%C3%A9?%C3%BC"),
        ("https://a.example/..a/b..", "https://a.example/..a/b.."),
    ],
)
def test_an_address_has_one_spelling(url: str, spelt: str) -> None:
    """So that patterns see what is asked for."""
    assert Target.read(url).url == spelt
    assert Target.read(spelt).url == spelt


def test_numbers_are_names_until_they_are_resolved() -> None:
    """`2130706433` and `0x7f.1` are no addresses here; what they resolve to is checked."""
    assert Target.read("http://2130706433/").host == "2130706433"
