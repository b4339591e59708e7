"""Another private authority, without an interruption: for a while everybody believes both.

    begun      ca.key.next is the new key; ca.pem has both certificates, which clients elsewhere are given
    taken over ca.key is the new key: provisioning has the server's certificate signed with it, and the server reads it
    ended      ca.pem has the new certificate alone

Interrupted anywhere, the fleet goes on: whoever signs is the one whose key lies in ca.key, and ca.pem has it always.
The old key is not needed for any of it, so one that was lost is replaced likewise.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bus.errors import NotProvisioned
from bus.files import sync_folder
from bus.provision.tls import authority_certificate, pem, pem_of_key, put, read
from bus.surroundings import Home
from schemas.fleet import Fleet


def require_own_authority(fleet: Fleet) -> None:
    """Raises:
    NotProvisioned: this fleet's server has no certificate of an authority of its own.
    """
    if not fleet.nats.has_tls:
        raise NotProvisioned("this fleet's server does not speak TLS, so it has no authority")
    if fleet.nats.given_files:
        raise NotProvisioned("this fleet's certificates are your own (nats.tls.cert_file): replace those files")


def begin(fleet: Fleet, home: Home, now: datetime | None = None) -> None:
    """Make another authority, which everybody who reads ca.pem from now on believes too; goes on with one that was begun.

    Raises:
        NotProvisioned: a file cannot be read.
    """
    fresh = _fresh(home)
    if not fresh.exists():
        if len(believed(home)) > 1:
            return  # taken over already, and not ended
        put(fresh, pem_of_key(ec.generate_private_key(ec.SECP256R1())), 0o600)
    key, present = _key(fresh), believed(home)
    if not _of(key, present):
        both = [*present, authority_certificate(fleet.name, key, now or datetime.now(UTC))]
        put(home.ca, b"".join(map(pem, both)), 0o644)


def take_over(home: Home) -> None:
    """Have the new key sign from now on; the server's certificate is made anew by who provisions next."""
    if _fresh(home).exists():
        if not _of(_key(_fresh(home)), believed(home)):
            raise NotProvisioned(f"{home.ca} does not have the new authority yet; run: agentbus fleet rotate --ca")
        _fresh(home).replace(home.ca_key)
        sync_folder(home.ca_key.parent)


def end(home: Home) -> tuple[str, str]:
    """Believe the new authority alone; returns the digests of the old certificate, empty without one, and of the new."""
    present = believed(home)
    signs = _of(_key(home.ca_key), present)
    put(home.ca, b"".join(map(pem, signs)), 0o644)
    old = [digest_of(one) for one in present if one not in signs]
    return (old[0] if old else ""), digest_of(signs[0])


def believed(home: Home) -> Sequence[x509.Certificate]:
    """The authorities that clients believe."""
    return x509.load_pem_x509_certificates(read(home.ca))


def digest_of(certificate: x509.Certificate) -> str:
    """What a certificate is called by."""
    return certificate.fingerprint(hashes.SHA256()).hex()


async def require_shown(fleet: Fleet, home: Home) -> None:
    """Check that each server shows a certificate that the present authority signed.

    Raises:
        NotProvisioned: one does not.
    """
    text = b"".join(map(pem, _of(_key(home.ca_key), believed(home)))).decode()
    context = ssl.create_default_context(cadata=text)
    for listen in fleet.nats.cluster or (fleet.nats,):
        try:
            async with asyncio.timeout(10):
                _, writer = await asyncio.open_connection(listen.host, listen.port, ssl=context)
        except (OSError, TimeoutError) as error:
            raise NotProvisioned(
                f"the server at {listen.host}:{listen.port} does not show the new certificate ({error}); "
                "both authorities are believed still, and nothing is interrupted: see its log, then repeat"
            ) from None
        writer.transport.abort()


def _fresh(home: Home) -> Path:
    return home.ca_key.with_name(f"{home.ca_key.name}.next")


def _key(path: Path) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(read(path), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise NotProvisioned(f"{path} is not a key that this version makes")
    return key


def _of(key: ec.EllipticCurvePrivateKey, certificates: Sequence[x509.Certificate]) -> list[x509.Certificate]:
    return [one for one in certificates if one.public_key() == key.public_key()]
