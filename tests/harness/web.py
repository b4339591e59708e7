"""A web server for tests: real HTTP on loopback, whose answers are bytes that a test writes.

async with Web() as web:
    web.answers["/a"] = answer(200, "text", {"Content-Type": "text/plain"})
    … http://127.0.0.1:{web.port}/a …
    assert web.requests[0].headers["accept"] == "text/plain"
"""

from __future__ import annotations

import asyncio
import datetime
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NEVER = b""
"""An answer that never comes."""


@dataclass(frozen=True)
class Asked:
    """What a client sent; names of headers in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Web:
    """The server. What has no answer is 404; an answer is followed by the end of the connection."""

    answers: dict[str, bytes] = field(default_factory=dict)
    requests: list[Asked] = field(default_factory=list)
    connections: int = 0
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a client went away from an answer that never comes."""
    tls: ssl.SSLContext | None = None
    _server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.tls)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def place(self) -> str:
        """Address and port."""
        return f"127.0.0.1:{self.port}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            asked = await _asked(reader)
            self.requests.append(asked)
            said = self.answers.get(asked.path.partition("?")[0], answer(404, "no such page"))
            if said == NEVER:
                await reader.read()
                self.gone.set()
            writer.write(said)
            await writer.drain()
        except (OSError, EOFError):
            self.gone.set()
        finally:
            writer.close()


def answer(status: int, body: str | bytes = "", headers: Mapping[str, str] | None = None) -> bytes:
    """A plain answer with its length."""
    data = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(data)}"]
    lines += [f"{name}: {text}" for name, text in (headers or {}).items()]
    return "\r\n".join((*lines, "", "")).encode() + data


async def _asked(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    method, path, _ = head[0].split(" ")
    headers = {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in head[1:] if line}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Asked(method, path, headers, body)


class Certified(NamedTuple):
    """What a server needs to prove a name, and the file that makes a client believe it."""

    server: ssl.SSLContext
    file: Path


def certified(name: str, folder: Path) -> Certified:
    """A certificate for `name` that nobody believes who does not have its file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    file, private = folder / "server.pem", folder / "server.key"
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file, private)
    return Certified(context, file)
