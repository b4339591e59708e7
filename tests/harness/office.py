"""People and agents of a running fleet as plain NATS clients with their own keys: they propose, vote and ask."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import nats
import yaml
from nats.aio.client import Client

from approvals.change.propose import Edit, build_proposal
from approvals.git import Git
from approvals.repository import rules_in_force
from bus.connection import servers_at
from bus.provision.members import server_url
from bus.surroundings import Home
from schemas import names
from schemas.approvals import BrokenGlass, ChangedFile, GlassVerb, Proposal, Receipt, Standing
from schemas.ids import sha256_hex
from tests.harness.fleet import until

HOUR_NS = 3600 * 1_000_000_000


@dataclass
class Office:
    """`close` ends every connection."""

    home: Home
    _clients: dict[str, Client] = field(default_factory=dict)
    errors: dict[str, list[str]] = field(default_factory=dict)
    """What the server told each of them that it may not do."""

    @property
    def git(self) -> Git:
        """The fleet's repository."""
        return Git(self.home.repository)

    async def client(self, name: str) -> Client:
        """A connection of `name` in the account that is its own."""
        if name not in self._clients or not self._clients[name].is_connected:
            fleet = rules_in_force(self.git).fleet
            prefix = names.tool_inbox_prefix(name) if name in fleet.operators else names.inbox_prefix(name)
            told = self.errors.setdefault(name, [])

            async def on_error(error: Exception) -> None:
                told.append(str(error))

            self._clients[name] = await nats.connect(
                **servers_at(server_url(fleet, self.home)), nkeys_seed=str(self.home.credentials(name) / names.OWN_CREDENTIAL),
                inbox_prefix="_INBOX" if name in fleet.reviewers else prefix, error_cb=on_error,
            )  # fmt: skip
        return self._clients[name]

    async def say(self, who: str, subject: str, body: bytes | str = b"", timeout_s: float = 10) -> str:
        """A request in the name of `who`, and what is answered."""
        client = await self.client(who)
        data = body.encode() if isinstance(body, str) else body
        return (await client.request(subject, data, timeout=timeout_s)).data.decode()

    def proposal(self, agent: str, edits: Sequence[Edit]) -> bytes:
        """An honest proposal to change an agent's folder."""
        folder = self.home.live(agent).resolve()
        return build_proposal(agent, folder, edits, rationale="a test", now_ns=time.time_ns())

    async def propose(self, data: bytes, by: str = "ops") -> Receipt:
        """Send a proposal."""
        return msgspec.json.decode(await self.say(by, f"approvals.propose.{by}", data), type=Receipt)

    async def vote(self, receipt: Receipt, *reviewers: str, verb: str = "approve") -> list[str]:
        """The answers to the votes of these reviewers."""
        body = f"{receipt.proposal} {receipt.digest} a test"
        return [await self.say(reviewer, f"approvals.{verb}", body) for reviewer in reviewers]

    async def standing(self, proposal: str) -> Standing:
        """How a proposal stands, as an operator is told."""
        return msgspec.json.decode(await self.say("ops", "approvals.ask.ops.show", proposal), type=Standing)

    async def ended(self, proposal: str, timeout_s: float = 60) -> Standing:
        """The same, when nothing will happen to it any more."""

        async def look() -> Standing | None:
            standing = await self.standing(proposal)
            return standing if standing.is_final else None

        found = await until(look, timeout_s=timeout_s, every_s=0.1)
        assert found is not None
        return found

    async def in_state(self, proposal: str, state: str, timeout_s: float = 60) -> Standing:
        """The same, when it is in `state`."""

        async def look() -> Standing | None:
            standing = await self.standing(proposal)
            return standing if standing.state == state else None

        found = await until(look, timeout_s=timeout_s, every_s=0.1)
        assert found is not None
        return found

    async def break_glass(self, verb: GlassVerb, agent: str, *, lasts_s: float = 3600) -> Receipt:
        """What an operator does in an emergency."""
        now_ns = time.time_ns()
        glass = BrokenGlass(
            agent=agent,
            reason="a test",
            made_at_ns=now_ns,
            expires_at_ns=now_ns + int(lasts_s * 1e9),
            nonce=str(now_ns),
        )
        answer = await self.say("ops", f"approvals.glass.ops.{verb}", msgspec.json.encode(glass))
        return msgspec.json.decode(answer, type=Receipt)

    def fleet_proposal(self, changes: dict[str, bytes], *, agent: str, kind: str) -> bytes:
        """An honest proposal to change the fleet's own files."""
        git = self.git
        with git.indexed() as index:
            base = index.tree_of_fleet()
            index.run("read-tree", base)
            for path, content in changes.items():
                blob = index.line("hash-object", "-w", "--stdin", stdin=content)
                index.run("update-index", "--add", "--cacheinfo", f"100644,{blob},{path}")
            tree = index.line("write-tree")
            return _described(git, base, tree, agent=agent, kind=kind)

    async def close(self) -> None:
        """End every connection."""
        for client in self._clients.values():
            await client.close()


def _described(git: Git, base: str, tree: str, *, agent: str, kind: str) -> bytes:
    entries = git.changes(base, tree)
    files = tuple(ChangedFile(path=e.path, mode="100644", sha256=sha256_hex(git.blob(e.blob))) for e in entries)
    now_ns = time.time_ns()
    return msgspec.json.encode(
        Proposal(
            agent=agent, kind=kind, base=base, tree=tree, diff=git.diff(base, tree), files=files,  # type: ignore[arg-type]
            rationale="a test", made_at_ns=now_ns, expires_at_ns=now_ns + HOUR_NS, nonce=str(now_ns), scope="fleet",
        )
    )  # fmt: skip


def swift(source: Path) -> None:
    """Have a fleet look at what was applied for a moment only; for `running_fleet(prepare=…)`."""
    path = source / "policy.yaml"
    policy = yaml.safe_load(path.read_text())
    policy["health"] = {"ready_within_s": 8, "steady_for_s": 1}
    path.write_text(yaml.safe_dump(policy))


@asynccontextmanager
async def office(home: Home) -> AsyncIterator[Office]:
    """Open for a while."""
    opened = Office(home)
    try:
        yield opened
    finally:
        await opened.close()
