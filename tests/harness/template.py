"""A fleet as provisioning leaves it, made once in this process; a test gets a copy, and a real server on it.

Most tests want a provisioned server and prove nothing about how it came to be, and a copy costs a fraction of it. What
is copied was made by the product, with all its keys, releases and streams. One copy at a time has the template's own
port, and nothing else is written for it but what names its folder. Another one, and one whose agents' files differ,
imports the fleet's files again.
"""

from __future__ import annotations

import atexit
import json
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.home import _import, ensure_home
from approvals.git import Git
from bus.provision.provision import local_servers, start_server, write_files
from bus.server import LocalServer
from bus.surroundings import Home
from schemas.fleet import Fleet

Files = Callable[[Path], object]
"""Writes the files of a fleet to a folder."""


@dataclass
class _Template:
    """The home of a stopped fleet, which is never changed."""

    home: Home
    fleet: Fleet
    is_lent: bool = False
    """Whether a copy has its port."""

    def may_be_lent(self) -> bool:
        """Whether nobody listens on its port, here or in another process."""
        if self.is_lent:
            return False
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self.fleet.nats.host, self.fleet.nats.port))
            except OSError:
                return False
        return True


_MADE: dict[str, _Template] = {}
"""What a fleet file says, but for its port, to its template."""


async def _template_of(document: dict[str, Any], files: Files) -> _Template:
    kind = json.dumps({**document, "nats": {**document["nats"], "port": None}})
    if kind not in _MADE:
        folder = Path(tempfile.mkdtemp(prefix="agentbus-template-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        home, source = Home(folder / "home"), folder / "source"
        source.mkdir()
        files(source)
        fleet = ensure_home(home, source)
        server = await start_server(fleet, home)
        await server.stop()
        shutil.rmtree(home.root / "log")
        _MADE[kind] = _Template(home, fleet)
    return _MADE[kind]


@asynccontextmanager
async def provisioned(
    folder: Path, document: dict[str, Any], files: Files, more: Files | None = None
) -> AsyncIterator[tuple[Home, Fleet, LocalServer]]:
    """A fleet in `folder` whose file says `document` and whose server runs until the end.

    `files` writes all that such a fleet has, `more` what only this one has.
    """
    template = await _template_of(document, files)
    home = Home(folder / "home")
    shutil.copytree(template.home.root, home.root, symlinks=True, copy_function=shutil.copy)
    is_as_made = more is None and template.may_be_lent()
    template.is_lent |= is_as_made
    try:
        if is_as_made:
            fleet = template.fleet
            write_files(fleet, home)
        else:
            fleet = _imported(home, folder / "source", files, more)
        (server,) = local_servers(fleet, home)
        await server.start()
        try:
            yield home, fleet, server
        finally:
            await server.stop()
    finally:
        template.is_lent &= not is_as_made


def _imported(home: Home, source: Path, files: Files, more: Files | None) -> Fleet:
    source.mkdir()
    files(source)
    if more:
        more(source)
    _import(Git(home.repository), source)
    return ensure_home(home)
