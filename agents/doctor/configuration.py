"""What is in force: the fleet's files, the agents' files, and that nobody changed them on disk."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from collections.abc import Sequence

from agents.doctor.finding import Finding, doubtful, fine, one_line, wrong
from agents.observing import Place
from agents.ports import clashes
from agents.runtime.loading.agent_folder import read_folder
from approvals.applying.release import live_tree
from approvals.errors import GitFailed
from approvals.git import Git, tree_of_folder
from schemas.agent.http import Http
from schemas.agent.reading import NOWHERE
from schemas.errors import InvalidDocument


async def fleet(place: Place) -> Sequence[Finding]:
    """There is a fleet, and its files can be read."""
    if not (place.home.repository / "HEAD").exists():
        return [wrong(f"there is no fleet in {place.home.root}", f"agentbus fleet init NAME --home {place.home.root}")]
    try:
        found = place.fleet
    except (InvalidDocument, GitFailed) as error:
        return [wrong(f"the fleet's files cannot be used: {error}", f"restore {place.home.repository} from its backup")]
    return [fine(f"fleet {found.name}: {len(found.agents)} agents, {len(found.reviewers)} reviewers")]


async def agents(place: Place) -> Sequence[Finding]:
    """Each agent's file, as it is live, says nothing wrong."""
    problems: list[Finding] = []
    for agent in place.fleet.agents:
        try:
            await asyncio.to_thread(read_folder, place.home.live(agent), NOWHERE)
        except InvalidDocument as error:
            says = str(error).splitlines()[0]
            problems.append(
                wrong(f"{agent} would not start: {says}", f"agentbus agent validate {place.home.live(agent)}")
            )
    return problems or [fine(f"the files of {len(place.fleet.agents)} agents can be used")]


async def ports(place: Place) -> Sequence[Finding]:
    """No two processes want one port: the one that starts second does not start."""
    wanted: dict[str, Http] = {}
    for agent in place.fleet.agents:
        with contextlib.suppress(InvalidDocument):  # said by the check of the agents' files
            wanted[agent] = read_folder(place.home.live(agent), NOWHERE).file.http
    found = [
        wrong(str(clash), f"propose another http.{clash.second.key} for {clash.second.holder}")
        for clash in clashes(place.fleet, wanted)
    ]
    return found or [fine("no port is wanted twice")]


async def digests(place: Place) -> Sequence[Finding]:
    """What is live is what was approved, to the byte."""
    git = Git(place.home.repository)
    found = [finding for agent in place.fleet.agents for finding in await asyncio.to_thread(_live, git, place, agent)]
    return found or [fine("each agent runs exactly the files that are in force")]


def _live(git: Git, place: Place, agent: str) -> list[Finding]:
    wanted, live = git.tree_of_agent(agent), live_tree(place.home, agent)
    if wanted is None:
        return [wrong(f"{agent} is in the fleet file and has no files in force", place.provision())]
    if live != wanted:
        again = f"systemctl restart agentbus-applier, or {place.provision()}"
        return [wrong(f"{agent} runs {live[:12] or 'nothing'}, and {wanted[:12]} is in force", again)]
    folder = place.home.release(agent, wanted)
    holds = tree_of_folder(folder) if folder.is_dir() else "nothing"
    if holds != wanted:
        return [
            wrong(
                f"the files of {agent} were changed on disk: {folder} holds {holds[:12]}",
                f"rm -r {folder}; {place.provision()}",
            )
        ]
    return []


async def listen(place: Place) -> Sequence[Finding]:
    """The server listens to this machine alone, or speaks TLS."""
    own = place.fleet.nats
    hosts = [member.host for member in own.cluster] or [own.host]
    beyond = [host for host in hosts if not _is_loopback(host)]
    if beyond and not own.has_tls:
        return [
            doubtful(
                one_line(len(beyond), "clear text beyond this machine", beyond[0]), "set nats.tls in the fleet file"
            )
        ]
    return [fine(f"the server listens on {', '.join(hosts)}" + (" with TLS" if beyond else ""))]


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
