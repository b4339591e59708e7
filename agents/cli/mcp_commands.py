"""`agentbus agent mcp`: whether an agent's MCP servers answer, what they list, and the pins of that."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.cli.run import log_quietly
from agents.mcp.config import with_servers
from agents.mcp.listing import Listed
from agents.mcp.pins import Seen
from agents.mcp.server import Around, Server, Told
from agents.runtime.loading.agent_folder import read_folder
from schemas.agent import McpServer
from schemas.agent.mcp import EVERY_TOOL
from schemas.text import harmless

_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Found:
    """What one server was like when it was asked."""

    name: str
    spec: McpServer
    problem: str
    version: str
    listed: tuple[Listed, ...]

    @property
    def missing(self) -> list[str]:
        """Tools that the agent's file allows, and the server does not list."""
        return sorted(set(self.spec.tools) - {EVERY_TOOL} - {one.tool for one in self.listed})

    @property
    def is_well(self) -> bool:
        """Whether it answered, and offers all that the file allows."""
        return not (self.problem or self.missing or any(one.is_allowed and one.problem for one in self.listed))


def mcp(path: Path, *, as_json: bool) -> None:
    """Start each server once, and say what there is. Exit 0 when all answer and offer all that is allowed, else 1."""
    log_quietly()
    read = read_folder(path, os.environ)
    servers = with_servers(read.file, read.folder).mcp.servers
    found = asyncio.run(_asked(servers, read.folder))
    if as_json:
        whole = {"ok": all(each.is_well for each in found), "servers": [_as_json(each) for each in found]}
        print(json.dumps(whole, indent=2))
    else:
        for line in _lines(found):
            print(harmless(line))
    raise SystemExit(0 if all(each.is_well for each in found) else 1)


async def _asked(servers: dict[str, McpServer], folder: Path) -> list[Found]:
    """All at the same time; each has the time that an agent gives it."""
    wanted = [(name, spec) for name, spec in servers.items() if not spec.disabled]
    return list(await asyncio.gather(*(_one(name, spec, folder) for name, spec in wanted)))


async def _one(name: str, spec: McpServer, folder: Path) -> Found:
    server = Server(name, spec, Around(folder, Seen(), Told(_ignore, _ignore, lambda *_: None)))
    server.start()
    try:
        await server.settled()
        words = f"; it last said: {server.last_words}" if server.last_words else ""
        problem = f"{server.problem}{words}" if server.problem else ""
        return Found(name, spec, problem, server.version, server.listed)
    finally:
        await server.close()


def _ignore(_: Server) -> None:
    pass


def _lines(found: list[Found]) -> Iterator[str]:
    if not found:
        yield "no MCP servers"
    for each in found:
        offered = sum(one.is_offered for one in each.listed)
        if each.problem:
            yield f"{each.name}: does not answer: {each.problem}"
            continue
        yield f"{each.name}: answers (MCP {each.version}), lists {len(each.listed)} tools, {offered} offered"
        for one in each.listed:
            yield f"  {_state(one, each.spec):<10} {one.tool:<28} {' '.join(one.description.split())[:_SHOWN]}".rstrip()
            if one.is_allowed and one.problem:
                yield f"{'':13}{one.problem}"
        for tool in each.missing:
            yield f"  {'missing':<10} {tool:<28} the server does not list it"
        yield from _pins(each)


def _state(one: Listed, spec: McpServer) -> str:
    if not one.is_allowed:
        return "not named"
    if one.problem:
        return "changed" if one.is_changed else "left out"
    return "read only" if one.tool in spec.read_only else "offered"


def _pins(found: Found) -> Iterator[str]:
    """To paste into the file; of all tools where none is named yet."""
    usable = [one for one in found.listed if one.is_changed or not one.problem]
    wanted = [one for one in usable if one.is_allowed or not found.spec.tools]
    new = [one for one in wanted if found.spec.pins.get(one.tool) != one.pin]
    if new:
        yield f"  to allow exactly this, write under {found.name}:"
        yield "    pins:"
        for one in new:
            yield f"      {json.dumps(one.tool)}: {one.pin}"


def _as_json(found: Found) -> dict[str, Any]:
    return {
        "name": found.name,
        "ok": found.is_well,
        "problem": found.problem,
        "version": found.version,
        "missing": found.missing,
        "tools": [
            {
                "tool": one.tool, "name": one.name, "description": one.description, "allowed": one.is_allowed,
                "offered": one.is_offered, "read_only": one.tool in found.spec.read_only, "pin": one.pin,
                "pinned": one.is_pinned, "changed": one.is_changed, "problem": one.problem,
            }
            for one in found.listed
        ],
    }  # fmt: skip
