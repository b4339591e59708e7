"""Whatever comes in whatever order, over real streams: the record decides, every replay says the same, and nothing is
acted upon twice.

A model of few lines says what must have become of each proposal; the service, the applier and a service that folds
everything anew must agree with it after every step.
"""

from __future__ import annotations

import asyncio
import base64
import tempfile
import threading
import time
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from agents.home import ensure_home
from approvals.applying.applier import Applier
from bus.jetstream import ApiError, call
from bus.provision.provision import start_server
from bus.surroundings import Home
from schemas import names
from schemas.approvals import OutcomeRecord, Receipt
from tests.contract.approvals.approvals_bench import STYLE, Approvals
from tests.harness.admin import administrator
from tests.harness.fleet import Bench, fleet_source, free_port

pytestmark = pytest.mark.timeout(600)
REVIEWERS = ("reviewer", "second", "third")
_STEP_S = 200
_ACTED_S = 150
_ENDS = {"rolled_back", "refused"}
"""How an approved proposal ends here, where no agent runs that could come up healthy."""


class Background:
    """An event loop in a thread, for a state machine that is not asynchronous."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def do[T](self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` there and return what it gives."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_STEP_S)

    def close(self) -> None:
        """End the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_STEP_S)
        self._loop.close()


@dataclass
class Expected:
    """What must have become of one proposal, by the rules in words: two of three, a veto, a final revocation."""

    receipt: Receipt
    data: bytes
    state: str = "open"
    votes: dict[str, str] = field(default_factory=dict)

    def vote(self, reviewer: str, verb: str) -> bool:
        """Whether the vote counts; then it is in."""
        last = self.votes.get(reviewer)
        if last == verb:
            return True
        if self.state != "open" or last == "revoke" or (verb == "revoke" and last is None):
            return False
        self.votes[reviewer] = verb
        if verb == "reject":
            self.state = "rejected"
        elif sum(said == "approve" for said in self.votes.values()) >= 2:
            self.state = "approved"
        return True


class World:
    """One server, one service and one applier for all examples; each example makes proposals of its own."""

    def __init__(self) -> None:
        self.back = Background()
        self.folder = tempfile.TemporaryDirectory(prefix="agentbus-interleaved-")
        self.stack = AsyncExitStack()
        self.applier: Applier | None = None
        self.back.do(self._open())

    async def _open(self) -> None:
        source, home = Path(self.folder.name, "source"), Home(Path(self.folder.name, "home"))
        source.mkdir()
        fleet_source(source, port=free_port(), change=_three_reviewers)
        policy = {"version": "1", "rules": [{"paths": ["**"], "quorum": 2}], "max_open_per_agent": 1000}
        (source / "policy.yaml").write_text(yaml.safe_dump(policy))
        fleet = ensure_home(home, source)
        server = await start_server(fleet, home)
        self.stack.push_async_callback(server.stop)
        self.approvals = Approvals(Bench(home, fleet, server, self.stack))
        await self.approvals.start()
        self.admin = await administrator(self.approvals.bench, names.ACCOUNT_APPROVALS)

    async def outcomes(self) -> list[OutcomeRecord]:
        """Everything that any applier ever said it did, from the stream itself."""
        found: list[OutcomeRecord] = []
        sequence = 1
        while True:
            try:
                query = {"seq": sequence, "next_by_subj": "approvals.outcome.p-*"}
                stored = (await call(self.admin, f"STREAM.MSG.GET.{names.OUTCOMES}", query))["message"]
            except ApiError:
                return found
            sequence = stored["seq"] + 1
            found.append(msgspec.json.decode(base64.b64decode(stored["data"]), type=OutcomeRecord))

    async def start_applier(self) -> None:
        self.applier = await self.approvals.applier()
        await self.applier.start()

    async def stop_applier(self) -> None:
        if self.applier is not None:
            await self.approvals.end(self.applier)
            self.applier = None

    def close(self) -> None:
        self.back.do(self.stop_applier())
        self.back.do(self.approvals.close())
        self.back.do(self.stack.aclose())
        self.back.close()
        self.folder.cleanup()


def _three_reviewers(fleet: dict[str, Any]) -> None:
    fleet["reviewers"] = {name: {"groups": ["staff"]} for name in REVIEWERS}


class Interleaved(RuleBasedStateMachine):
    """The steps; `world` is set for the run of the test."""

    world: World

    @initialize()
    def begin(self) -> None:
        """Nothing of this example exists yet."""
        self.known: list[Expected] = []
        self.ended: dict[str, str] = {}

    # -- steps -------------------------------------------------------------------------------------------

    @rule()
    def propose(self) -> None:
        """An honest proposal."""
        data = self.world.approvals.proposal(STYLE)
        receipt = self.world.back.do(self.world.approvals.propose(data))
        assert receipt.problem == ""
        self.known.append(Expected(receipt, data))

    @precondition(lambda self: self.known)
    @rule(
        number=st.integers(0, 99),
        reviewer=st.sampled_from(REVIEWERS),
        verb=st.sampled_from(["approve", "approve", "approve", "reject", "revoke"]),
        is_right=st.sampled_from([True, True, True, False]),
    )
    def vote(self, number: int, reviewer: str, verb: str, is_right: bool) -> None:
        """A vote, now and then for other bytes; it is answered with OK exactly when it counts."""
        about = self.known[number % len(self.known)]
        digest = about.receipt.digest if is_right else "0" * 64
        answer = self._say(reviewer, verb, f"{about.receipt.proposal} {digest} x")
        counts = is_right and about.vote(reviewer, verb)
        assert answer.startswith("OK " if counts else "ERR "), (answer, about)

    @precondition(lambda self: self.known)
    @rule(number=st.integers(0, 99))
    def withdraw(self, number: int) -> None:
        """The proposer takes it back, which counts while it is open."""
        about = self.known[number % len(self.known)]
        receipt = self.world.back.do(self._withdrawn(about))
        if about.state == "open":
            about.state = "withdrawn"
        assert bool(receipt.problem) == (about.state != "withdrawn"), receipt

    @precondition(lambda self: self.known)
    @rule(number=st.integers(0, 99))
    def propose_again(self, number: int) -> None:
        """The same bytes are the same proposal."""
        about = self.known[number % len(self.known)]
        receipt = self.world.back.do(self.world.approvals.propose(about.data))
        assert receipt.proposal == about.receipt.proposal

    @rule()
    def restart_the_service(self) -> None:
        """It folds everything from the beginning of the record."""
        self.world.back.do(self.world.approvals.stop())
        self.world.back.do(self.world.approvals.start())

    @rule()
    def run_the_applier(self) -> None:
        """It acts upon what is approved, and ends."""
        self.world.back.do(self._acted())

    # -- what holds after each ---------------------------------------------------------------------------

    @invariant()
    def the_record_decides(self) -> None:
        """Service and model agree; what was acted upon was approved."""
        self.world.back.do(self._agreed())

    async def _agreed(self) -> None:
        service = self.world.approvals.service
        assert service is not None
        await service.catch_up()
        for about in self.known:
            state = service.ledger.find(about.receipt.proposal).state
            if about.state == "approved" and state in _ENDS:
                about.state = state
            assert state == about.state, (state, about)

    def teardown(self) -> None:
        """No proposal was ended twice, and none that was not approved was begun. Nothing is left for the next example."""
        for about in getattr(self, "known", []):
            if about.state == "open":
                self.world.back.do(self._withdrawn(about))
        by_proposal: dict[str, list[str]] = {}
        for outcome in self.world.back.do(self.world.outcomes()):
            if outcome.result != "checked":
                by_proposal.setdefault(outcome.proposal, []).append(outcome.result)
        for about in getattr(self, "known", []):
            results = by_proposal.get(about.receipt.proposal, [])
            assert len(results) <= 1, (results, about)
            assert ("rolled_back" in results) <= (sum(v == "approve" for v in about.votes.values()) >= 2), (
                results,
                about,
            )

    def _say(self, reviewer: str, verb: str, body: str) -> str:
        return self.world.back.do(self.world.approvals.type(verb, body, who=reviewer))

    async def _withdrawn(self, about: Expected) -> Receipt:
        greeter = await self.world.approvals.bench.attacker("greeter", names.OWN_CREDENTIAL)
        answer = await greeter.client.request(
            "approvals.withdraw.greeter", f"{about.receipt.proposal} no".encode(), timeout=10
        )
        await greeter.client.close()
        return msgspec.json.decode(answer.data, type=Receipt)

    async def _acted(self) -> None:
        await self.world.start_applier()
        deadline = time.monotonic() + _ACTED_S
        service = self.world.approvals.service
        assert service is not None
        while time.monotonic() < deadline:
            await service.catch_up()
            if not any(case.state == "approved" for case in service.ledger.unsettled.values()):
                break
            await asyncio.sleep(0.05)
        await self.world.stop_applier()


def test_any_interleaving_is_what_the_record_says() -> None:
    """Proposals, votes, revocations, withdrawals, repetitions, restarts of service and applier, in any order."""
    Interleaved.world = World()
    try:
        run_state_machine_as_test(
            Interleaved,
            settings=settings(
                max_examples=8, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
            ),
        )
    finally:
        Interleaved.world.close()
