"""The approval path on a real server: the service and the applier in the test's loop, reviewers as plain clients."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import msgspec
from nats.aio.msg import Msg

from agents.processes.trying import local_sandbox
from approvals.applying.applier import Applier
from approvals.applying.control import RestartFailed
from approvals.applying.evidence import Evidence
from approvals.applying.journal import Journal
from approvals.applying.steps import Tools
from approvals.change.propose import Edit, build_proposal
from approvals.git import Git
from approvals.reviewing.service import ApprovalService
from approvals.reviewing.trail import Trail
from bus.audit.emit import Audit
from bus.audit.packing import unpacked
from bus.audit.producer import Producer
from bus.connection import Connection
from bus.credentials import Credential
from bus.requests.breaker import NEVER
from bus.requests.caller import Caller
from schemas import names
from schemas.approvals import Receipt
from schemas.audit import AuditEvent, decode_event
from tests.harness.fleet import Attacker, Bench

STYLE = Edit("agent.yaml", "Style: friendly", "Style: formal")
JSON = {"Accept": "application/json"}


@dataclass
class Approvals:
    """What a test of the approval path needs, on a provisioned fleet."""

    bench: Bench
    service: ApprovalService | None = None
    _own: Connection | None = None
    _audit: Audit | None = None
    _closing: AsyncExitStack = field(default_factory=AsyncExitStack)
    _people: dict[str, Attacker] = field(default_factory=dict)

    @property
    def git(self) -> Git:
        """The fleet's repository."""
        return Git(self.bench.home.repository)

    # -- the processes under test ------------------------------------------------------------------------

    async def start(self) -> None:
        """Start the approval service as its process does."""
        self._own = await self.bench.connect(names.APPROVALS, names.OWN_CREDENTIAL)
        self._audit = await self._open_audit(names.APPROVALS, self._own)
        trail = Trail(self._audit, self.bench.home.state(names.APPROVALS) / "told.json")
        self.service = ApprovalService(self._own, self.git, trail)
        await self.service.start()

    async def stop(self) -> None:
        """Stop it in order."""
        assert self.service is not None
        assert self._own is not None
        assert self._audit is not None
        await self.service.drain(5)
        await self._audit.close()
        await self._own.close()
        self.service = None

    async def _open_audit(self, name: str, own: Connection) -> Audit:
        key = Credential.find(self.bench.home.credentials(name), names.AUDIT_CREDENTIAL)
        state = self.bench.home.state(name)
        state.mkdir(parents=True, exist_ok=True)
        return await Audit.open(own, Producer(name, "0", is_agent=False), key, state / "audit")

    async def applier(self) -> Applier:
        """The applier of a fleet whose agents do not run: it derives verdicts, and restarting fails."""
        own = await self.bench.connect(names.APPLIER, names.OWN_CREDENTIAL)
        audit = await self._open_audit(names.APPLIER, own)
        self._closing.push_async_callback(audit.close)
        caller = Caller(await self.bench.connect(names.APPLIER), names.APPLIER, breaking=NEVER)
        await caller.start()
        home = self.bench.home
        tools = Tools(
            caller=caller,
            audit=audit,
            git=self.git,
            home=home,
            control=NoAgents(),
            journal=Journal(home.state(names.APPLIER) / "journal.jsonl"),
            evidence=Evidence(await self.bench.connect(names.APPLIER, names.TRAIL_CREDENTIAL)),
            sandbox=local_sandbox(home),
        )
        return Applier(own, tools)

    async def close(self) -> None:
        """Stop everything that runs."""
        await self._closing.aclose()
        if self.service is not None:
            await self.stop()

    async def end(self, applier: Applier) -> None:
        """Stop an applier in order; another one may be started then."""
        await applier.drain(20)
        await self._closing.aclose()

    # -- people and agents -------------------------------------------------------------------------------

    async def reviewer(self, name: str = "reviewer") -> Attacker:
        """A plain client with a reviewer's key."""
        if name not in self._people:
            self._people[name] = await self.bench.attacker(name, names.OWN_CREDENTIAL)
        return self._people[name]

    async def type(self, verb: str, body: str = "", *, who: str = "reviewer") -> str:
        """What `nats req approvals.<verb> '<body>'` prints for a reviewer."""
        person = await self.reviewer(who)
        answer = await person.client.request(f"approvals.{verb}", body.encode(), timeout=10)
        return answer.data.decode()

    async def ask_json(self, verb: str, body: str = "") -> Any:
        """The same with `-H Accept:application/json`."""
        person = await self.reviewer()
        answer = await person.client.request(f"approvals.{verb}", body.encode(), timeout=10, headers=JSON)
        return msgspec.json.decode(answer.data)

    async def vote_unheard(self, verb: str, body: str) -> None:
        """Vote while nobody answers: published, and flushed, nothing more."""
        person = await self.reviewer()
        await person.client.publish(f"approvals.{verb}", body.encode())
        await person.client.flush(timeout=5)

    def proposal(self, *edits: Edit, agent: str = "greeter") -> bytes:
        """The bytes of an honest proposal of an agent."""
        folder = self.bench.home.live(agent)
        return build_proposal(agent, folder, edits or (STYLE,), rationale="to be polite", now_ns=time.time_ns())

    async def propose(self, data: bytes | None = None) -> Receipt:
        """Send a proposal with the greeter's own key; returns the receipt."""
        sent = self.proposal() if data is None else data
        greeter = await self.bench.attacker("greeter", names.OWN_CREDENTIAL)
        answer = await greeter.client.request("approvals.propose.greeter", sent, timeout=10)
        await greeter.client.close()
        return msgspec.json.decode(answer.data, type=Receipt)

    # -- what is on record -------------------------------------------------------------------------------

    async def state(self, proposal: str) -> str:
        """The state that the service shows."""
        return str((await self.ask_json("show", proposal))["state"])

    async def events(self, kind: str) -> list[AuditEvent]:
        """The approval service's audit events of a type, from the stream."""
        assert self.service is not None
        await self.service.settle()
        auditor = await self.bench.attacker("auditor", names.OWN_CREDENTIAL)
        found: list[AuditEvent] = []
        sequence = 1
        while (message := await _next(auditor, sequence)) is not None:
            headers = message.headers or {}
            sequence = int(headers["Nats-Sequence"]) + 1
            found.extend(decode_event(event) for event in unpacked(message.data))
        await auditor.client.close()
        return [event for event in found if event.short_type == kind]


class NoAgents:
    """A supervisor of nothing."""

    async def restart(self, agent: str, slot: int, ready_within_s: float) -> None:
        """Fail, as there is no process."""
        raise RestartFailed(f"no process of {agent}, slot {slot}, runs here")

    async def stop(self, agent: str, slot: int) -> None:
        """Nothing to do."""

    async def pid(self, agent: str, slot: int) -> int:
        """There is none."""
        return 0

    async def reprovision(self) -> None:
        """Fail, as there is nobody who could."""
        raise RestartFailed("nobody provisions here")


async def _next(auditor: Attacker, sequence: int) -> Msg | None:
    query = msgspec.json.encode({"seq": sequence, "next_by_subj": "audit.sys.approvals.>"})
    message = await auditor.client.request(f"$JS.API.DIRECT.GET.{names.AUDIT}", query, timeout=5)
    return None if (message.headers or {}).get("Status") == "404" else message
