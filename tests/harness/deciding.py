"""A tool that people decide about, without a fleet: what a task keeps, the record and the people, runs of the task."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any, cast

import msgspec

from agents import llm
from agents.changes import Asked, Asking
from agents.context import Context
from agents.runtime.loading.load import Loaded
from agents.runtime.own_changes import OwnChanges
from agents.tools.approval import earlier
from agents.tools.row import Row
from approvals.change.propose import Origin, build_call_proposal
from approvals.errors import ProposalNotFound
from approvals.reviewing.desk import ProposalDesk
from bus.requests.caller import Caller
from bus.tasks.states import StaleTask
from schemas import a2a
from schemas.agent import ToolSettings
from schemas.approvals import Receipt, Standing, ToolCall, name_of
from schemas.documents import Document
from schemas.errors import Unavailable
from schemas.ids import sha256_hex
from tests.harness.toolbox import Box, Told, toolbox

HOUR_NS = 3600 * 10**9
TREE = "5" * 40


class Deploy(Document):
    """Where to."""

    to: str
    force: bool = False


class Task:
    """What a task keeps: each write is compared with what was read, as the bucket does it."""

    def __init__(self, task: str = "t-1") -> None:
        self.task = task
        self.asked: tuple[Asked, ...] = ()
        self.is_stale = False
        self.written: list[tuple[Asked, ...]] = []

    async def keep_asked(self, asked: tuple[Asked, ...]) -> None:
        """Store it, unless another instance has the task."""
        if self.is_stale:
            raise StaleTask(f"task {self.task} was changed elsewhere")
        self.asked = asked
        self.written.append(asked)


class Office:
    """The record and the people, on one desk: `states` is what they said, by proposal."""

    def __init__(self, agent: str = "writer", tree: str = TREE) -> None:
        self.agent, self.tree = agent, tree
        self.record: dict[str, bytes] = {}
        self.states: dict[str, Standing] = {}
        self.is_away = False

    @property
    def last(self) -> str:
        """The newest proposal."""
        return list(self.record)[-1]

    def say(self, state: str, *, proposal: str = "", until_ns: int | None = None, note: str = "") -> None:
        """The people have decided."""
        name = proposal or self.last
        until = time.time_ns() + HOUR_NS if until_ns is None else until_ns
        self.states[name] = Standing(
            proposal=name, digest="", agent=self.agent, kind="call", proposer=self.agent, state=state,
            is_final=state != "open", approvals=1, quorum=1, proposed_at_ns=0, expires_at_ns=0, rationale="",
            note=note, until_ns=until if state == "allowed" else 0,
        )  # fmt: skip

    async def build(self, changes: Sequence[Any], rationale: str, task: str) -> bytes:
        raise AssertionError

    async def build_call(self, call: ToolCall, rationale: str, task: str) -> bytes:
        return build_call_proposal(
            self.agent, self.tree, call, rationale=rationale, now_ns=time.time_ns(), origin=Origin(task)
        )

    async def send(self, proposal: bytes) -> Receipt:
        name = name_of(sha256_hex(proposal))
        self.record[name] = proposal
        self.say("open", proposal=name)
        return Receipt(proposal=name, digest=sha256_hex(proposal))

    async def standing(self, proposal: str) -> Standing:
        if self.is_away:
            raise Unavailable("away")
        if proposal not in self.states:
            raise ProposalNotFound(proposal)
        return self.states[proposal]

    async def call_of(self, proposal: str, digest: str, task: str) -> ToolCall | None:
        return await own_changes(self).call_of(proposal, digest, task)

    async def history(self, proposal: str) -> dict[str, Any]:
        """As the service answers a proposer."""
        if proposal not in self.record:
            raise ProposalNotFound(proposal)
        return {"id": proposal, "proposal": msgspec.json.decode(self.record[proposal])}

    async def withdraw(self, proposal: str, reason: str) -> Receipt:
        raise AssertionError


def own_changes(office: Office) -> OwnChanges:
    """The real reader of the record, at this office."""

    class Writer:
        id = office.agent

    changes = OwnChanges(cast(Loaded, Writer()), cast(Any, None), cast(Any, None))
    changes._known_tree = office.tree
    changes._desk = cast(ProposalDesk, office)
    return changes


class Ran(list[str]):
    """What has run, in order; `error` is raised after it."""

    error: BaseException | None = None
    gate: asyncio.Event | None = None


def tool(ran: Ran, **settings: Any) -> Row:
    """A tool that people decide about."""

    async def deploy(arguments: Deploy, _: Context) -> str:
        ran.append(arguments.to)
        if ran.gate is not None:
            await ran.gate.wait()
        if ran.error is not None:
            raise ran.error
        return f"deployed to {arguments.to}"

    row = Row(llm.Tool(name="deploy", description="Deploys.", input=Deploy), deploy, has_effects=True)
    return row.under(ToolSettings.model_validate({"approval": "always"} | settings))


class Run:
    """One run of the task at an instance: what it finds, and what its model calls."""

    def __init__(self, task: Task, office: Office, ran: Ran, told: Told | None = None) -> None:
        message = a2a.Message(message_id="m-1", role="ROLE_USER", parts=(a2a.Part(text="go"),))
        self.context = Context(
            "writer", "ops", message, None, cast(Caller, None), Asking(office, task), cast(Any, task)
        )
        self.box: Box = toolbox([tool(ran)], told)

    async def turns(self) -> tuple[llm.Turn, ...]:
        """What the model is told of earlier runs."""
        return await earlier(self.context)

    async def call(self, **arguments: Any) -> str:
        """A call of the model."""
        from agents.loop import ToolStep, runner, within

        row = self.box.toolbox.rows[0]
        asked = llm.ToolCall(id="c", name="deploy", input=arguments)
        step = ToolStep(
            context=self.context, call=asked, row=row, arguments=row.tool.arguments(asked), guards=(self.box.toolbox,)
        )
        return await within(self.box.layers, step, lambda: runner(self.box.audit)(step))
