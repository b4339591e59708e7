"""Addresses of servers in an agent's file."""

from __future__ import annotations

import ipaddress
import urllib.parse

from schemas.masking import masked_texts


def require_address(text: str) -> tuple[str, str]:
    """The scheme and the host of an http address.

    Raises:
        ValueError: it is none, or holds a secret, which everybody who reads the file would know.
    """
    try:
        address = urllib.parse.urlsplit(text)
        host, _ = address.hostname, address.port
    except ValueError:
        raise ValueError("not an address") from None
    if address.scheme not in {"https", "http"} or not host or not text.isprintable() or " " in text:
        raise ValueError("write https://… (http:// for a server on this machine)")
    if address.username or address.password or masked_texts([text]) != [text]:
        raise ValueError("no secrets in an address; a key is a reference of its own")
    return address.scheme, host


def is_here(host: str) -> bool:
    """Whether `host` is this machine, by its name or address alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
