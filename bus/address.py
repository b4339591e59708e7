"""Where a server is, and by whose word it is the one: an address says both, as those of other protocols do.

    nats://127.0.0.1:4222
    tls://nats.example:4222?ca=/var/lib/agentbus/public/ca.pem
    tls://nats-1.example:4222?ca=ca.pem,tls://nats-2.example:4222?ca=ca.pem

Behind `tls://` nothing is said before the handshake: TLS 1.3, the certificate signed by `ca` (without it, by an
authority that the system trusts), the name in the address. Nothing turns any of this off.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

from schemas.errors import InvalidDocument

_SCHEMES = {"nats": False, "tls": True}


@dataclass(frozen=True, slots=True)
class Address:
    """What the text of an address says."""

    servers: tuple[str, ...]
    is_encrypted: bool
    ca: Path | None = None

    def context(self) -> ssl.SSLContext | None:
        """How to speak TLS with these servers, None where it is not spoken.

        Raises:
            InvalidDocument: the authority's certificate cannot be read.
        """
        if not self.is_encrypted:
            return None
        try:
            context = ssl.create_default_context(cafile=self.ca)
        except (OSError, ssl.SSLError) as error:
            raise InvalidDocument(
                f"the certificate of the fleet's authority cannot be read from {self.ca} ({error}); run: agentbus "
                "provision, or copy public/ca.pem of the fleet's home there"
            ) from None
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        return context


def address_of(host: str, port: int, ca: Path | None) -> str:
    """The text for one server; it speaks TLS where there is an authority for its certificate."""
    named = f"[{host}]" if ":" in host else host
    return f"tls://{named}:{port}?ca={quote(str(ca.absolute()))}" if ca else f"nats://{named}:{port}"


def read_address(text: str) -> Address:
    """Read the addresses of one server or of a cluster, with commas between.

    Raises:
        InvalidDocument: one is not an address, or they are not alike; the message quotes it.
    """
    return _alike(text, [_read_one(part) for part in text.split(",")])


def _read_one(text: str) -> Address:
    parts = urlsplit(text if "://" in text else f"nats://{text}")
    query = parse_qs(parts.query, keep_blank_values=True)
    is_encrypted = _SCHEMES.get(parts.scheme)
    ca = query.pop("ca", [""])
    if is_encrypted is None or query or len(ca) > 1 or (ca[0] and not is_encrypted) or not parts.hostname:
        raise InvalidDocument(
            f"{text!r} is not the address of a server; write nats://HOST:PORT or tls://HOST:PORT?ca=FILE"
        )
    server = f"{parts.scheme}://{parts.netloc}"
    return Address((server,), is_encrypted, Path(ca[0]) if ca[0] else None)


def _alike(text: str, found: Iterable[Address]) -> Address:
    servers: list[str] = []
    kinds = set()
    for one in found:
        servers += one.servers
        kinds.add((one.is_encrypted, one.ca))
    if len(kinds) > 1:
        raise InvalidDocument(f"the servers of {text!r} are to be reached in one way: TLS with one authority, or none")
    return Address(tuple(servers), *kinds.pop())
