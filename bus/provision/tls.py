"""The server's certificate, and the private authority that signs it.

    credentials/ca/ca.key     the authority's key: provisioning's alone, no process in service has it
    public/ca.pem             its certificate: what every client believes, and nothing else
    nats/tls/server.{key,pem} the server's; all servers of a cluster have the same, with the names of all

The authority is made once, and replaced by `bus.provision.authority`; meanwhile `ca.pem` has both certificates. The server's certificate is made anew when less than a third of its time is left, or when
the fleet file names other hosts; a reload puts it in force, and no connection is closed by that.

Clients have no certificates: a login signs the server's challenge with the nkey that says who it is, and a second key
per member, in the same folder, of the same age, read by the same process, would be lost with the first. Servers of a
cluster are each other's clients and show theirs.

Source: RFC 5280; nats-server configuration reference (TLS).
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from bus.errors import NotProvisioned
from bus.files import replace_durably
from bus.surroundings import Home
from schemas.fleet import Fleet, Listen

AUTHORITY_DAYS = 3650
SERVER_DAYS = 396
_EARLIER = timedelta(hours=1)
"""Clocks differ: what is made now is valid at once, elsewhere too."""
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def ensure_tls(fleet: Fleet, home: Home, now: datetime | None = None) -> bool:
    """Have everything that `nats.tls` asks for; returns whether the server's certificate is another one than before.

    Raises:
        NotProvisioned: a file that the fleet file names cannot be read, or the authority's key is lost.
    """
    if not fleet.nats.has_tls:
        return False
    given = fleet.nats.given_files
    if given:
        return put(home.ca, read(given.ca_file), 0o644)
    moment = now or datetime.now(UTC)
    authority = _authority(fleet.name, home, moment)
    hosts = hosts_of(fleet.nats)
    if _is_good(home, authority[0], hosts, moment):
        return False
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _server_certificate(key, hosts, authority, moment)
    put(home.server_key, pem_of_key(key), 0o600)
    return put(home.server_certificate, pem(certificate), 0o644)


def hosts_of(listen: Listen) -> tuple[str, ...]:
    """Every name and address that the certificate is for, each once."""
    named = listen.more_names
    members = [member.host for member in listen.cluster] or [listen.host]
    return tuple(dict.fromkeys((*members, *named, *_LOOPBACK)))


def expires_at(certificate: Path) -> datetime:
    """Until when a certificate is good.

    Raises:
        NotProvisioned: there is none, or it cannot be read.
    """
    try:
        return x509.load_pem_x509_certificate(read(certificate)).not_valid_after_utc
    except ValueError as error:
        raise NotProvisioned(
            f"{certificate} is not a certificate ({error}); remove it and run: agentbus provision"
        ) from None


Authority = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


def _authority(fleet: str, home: Home, now: datetime) -> Authority:
    if not home.ca_key.exists():
        if home.ca.exists():
            raise NotProvisioned(
                f"{home.ca_key} is gone, without which no certificate can be signed that the fleet's clients believe; "
                f"bring it back, or replace the authority: agentbus fleet rotate --ca"
            )
        key = ec.generate_private_key(ec.SECP256R1())
        put(home.ca_key, pem_of_key(key), 0o600)
        put(home.ca, pem(authority_certificate(fleet, key, now)), 0o644)
    key_read = serialization.load_pem_private_key(read(home.ca_key), None)
    if not isinstance(key_read, ec.EllipticCurvePrivateKey):
        raise NotProvisioned(f"{home.ca_key} is not a key that this version makes; bring the one that it made back")
    if not home.ca.exists():
        put(home.ca, pem(authority_certificate(fleet, key_read, now)), 0o644)
    public = key_read.public_key()
    found = next((one for one in x509.load_pem_x509_certificates(read(home.ca)) if one.public_key() == public), None)
    if found is None:
        raise NotProvisioned(f"{home.ca} has no certificate of the key {home.ca_key}; bring both back from one copy")
    return found, key_read


def authority_certificate(fleet: str, key: ec.EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    """The certificate that an authority's key signs for itself."""
    name = _name(f"agentbus {fleet}")
    usage = _usage(key_cert_sign=True, crl_sign=True)
    return (
        _begun(name, name, key.public_key(), now, AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )


def _server_certificate(
    key: ec.EllipticCurvePrivateKey, hosts: Iterable[str], authority: Authority, now: datetime
) -> x509.Certificate:
    issuer, signer = authority
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    roles = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    return (
        _begun(_name("nats-server"), issuer.subject, key.public_key(), now, SERVER_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage(roles), critical=False)
        .add_extension(x509.SubjectAlternativeName(map(_alternative, hosts)), critical=False)
        .add_extension(identifier, critical=False)
        .sign(signer, hashes.SHA256())
    )


def _begun(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLIER)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature, key_cert_sign=key_cert_sign, crl_sign=crl_sign, content_commitment=False,
        key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _is_good(home: Home, authority: x509.Certificate, hosts: tuple[str, ...], now: datetime) -> bool:
    if not (home.server_certificate.exists() and home.server_key.exists()):
        return False
    found = x509.load_pem_x509_certificate(read(home.server_certificate))
    if serialization.load_pem_private_key(read(home.server_key), None).public_key() != found.public_key():
        return False  # whoever wrote them was stopped in between
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    rest = found.not_valid_after_utc - now
    try:
        found.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return list(names) == list(map(_alternative, hosts)) and rest > timedelta(days=SERVER_DAYS / 3)


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def pem(certificate: x509.Certificate) -> bytes:
    """A certificate as it stands in a file."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def pem_of_key(key: ec.EllipticCurvePrivateKey) -> bytes:
    """A private key as it stands in its file."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def read(path: Path | str) -> bytes:
    """Read a file of TLS.

    Raises:
        NotProvisioned: it cannot be read.
    """
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise NotProvisioned(f"{path} of nats.tls cannot be read: {os.strerror(error.errno or 0)}") from None


def put(path: Path, data: bytes, mode: int) -> bool:
    """Write it; returns whether it is another than before."""
    if path.exists() and path.read_bytes() == data:
        return False
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o755 if mode & 0o044 else 0o700)
    replace_durably(path, data, mode, keeps_owner=True)
    return True
