"""A fleet as provisioning leaves it, made once in this process; a test gets a copy with a port of its own.

Most tests want a provisioned server and prove nothing about how it came to be, and a copy costs a third of it. What
is copied was made by the product, with all its keys, releases and streams. The rest is done for each copy: the fleet's
files are imported, the server's configuration is written, and a real server starts on it.
"""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
from pathlib import Path

import yaml

from agents.home import _import, ensure_home
from approvals.git import Git
from bus.provision.provision import local_servers, start_server
from bus.server import LocalServer
from bus.surroundings import Home
from schemas.fleet import Fleet

_MADE: dict[str, Home] = {}
"""What a fleet file says, but for its port, to the home of a stopped fleet."""


async def template_of(source: Path) -> Home:
    """The home of a stopped fleet like that in `source`, which is never to be changed."""
    document = yaml.safe_load((source / "fleet.yaml").read_text())
    document["nats"].pop("port")
    kind = json.dumps(document)
    if kind not in _MADE:
        folder = Path(tempfile.mkdtemp(prefix="agentbus-template-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        home = Home(folder / "home")
        server = await start_server(ensure_home(home, source), home)
        await server.stop()
        shutil.rmtree(home.root / "log")
        _MADE[kind] = home
    return _MADE[kind]


async def provisioned(template: Home, source: Path, home: Home) -> tuple[Fleet, LocalServer]:
    """Make `home` of the template for the fleet in `source`, whose port and agents' files may differ; start its server."""
    shutil.copytree(template.root, home.root, symlinks=True)
    _import(Git(home.repository), source)
    fleet = ensure_home(home)
    (server,) = local_servers(fleet, home)
    await server.start()
    return fleet, server
