"""What the server refuses by itself, whoever asks nicely: the subject is the identity."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from nats.aio.client import Client

from tests.adversary.field import Case, Field


async def _is_walled(field: Field, who: str, act: Callable[[Client], Awaitable[Any]]) -> None:
    await field.walled(who, act)


def _says(subject: str, body: bytes = b"x") -> Callable[[Client], Awaitable[Any]]:
    return lambda client: client.publish(subject, body)


def _hears(subject: str) -> Callable[[Client], Awaitable[Any]]:
    return lambda client: client.subscribe(subject)


_ROWS: tuple[tuple[str, str, Callable[[Client], Awaitable[Any]]], ...] = (
    ("an agent proposes as another", "greeter", _says("approvals.propose.textstats")),
    ("an agent takes back another's proposal", "greeter", _says("approvals.withdraw.textstats")),
    ("an agent votes", "greeter", _says("approvals.approve")),
    ("an agent votes as a reviewer", "greeter", _says("approvals.review.reviewer.approve")),
    ("an agent says what was applied", "greeter", _says("approvals.outcome.p-aaaaaaaa")),
    ("an agent says which rules are in force", "greeter", _says("approvals.outcome.rules")),
    ("an agent wakes the applier", "greeter", _says("approvals.apply.p-aaaaaaaa")),
    ("an agent breaks the glass", "greeter", _says("approvals.glass.greeter.halt")),
    ("an agent says how it was evaluated", "greeter", _says("approvals.evaluate.greeter")),
    ("an agent asks in another's name", "greeter", _says("approvals.ask.textstats.list")),
    ("an agent tells false news", "greeter", _says("approvals.notify.p-aaaaaaaa")),
    ("an agent writes another's events", "greeter", _says("audit.agent.textstats.0.request")),
    ("an agent writes the applier's events", "greeter", _says("audit.sys.applier.0.apply")),
    ("an agent deletes the proposals", "greeter", _says("$JS.API.STREAM.DELETE.PROPOSALS")),
    ("an agent purges the votes", "greeter", _says("$JS.API.STREAM.PURGE.DECISIONS")),
    ("an agent reads the votes", "greeter", _says("$JS.API.DIRECT.GET.DECISIONS.x")),
    ("an agent makes a stream", "greeter", _says("$JS.API.STREAM.CREATE.MINE")),
    ("an agent listens to approvals", "greeter", _hears("approvals.>")),
    ("an agent that may not propose does", "concierge", _says("approvals.propose.greeter")),
    ("a reviewer votes as another", "reviewer", _says("approvals.review.second.approve")),
    ("a reviewer proposes", "reviewer", _says("approvals.propose.reviewer")),
    ("a reviewer says what was applied", "reviewer", _says("approvals.outcome.p-aaaaaaaa")),
    ("a reviewer breaks the glass", "reviewer", _says("approvals.glass.reviewer.halt")),
    ("a reviewer listens to others' votes", "reviewer", _hears("approvals.review.>")),
    ("a reviewer reads the trail", "reviewer", _says("$JS.API.DIRECT.GET.AUDIT.audit.seal")),
    ("an operator votes", "ops", _says("approvals.approve")),
    ("an operator breaks the glass as another", "ops", _says("approvals.glass.reviewer.halt")),
    ("an operator evaluates as another", "ops", _says("approvals.evaluate.reviewer")),
    ("an operator says which rules are in force", "ops", _says("approvals.outcome.rules")),
    ("an auditor votes", "auditor", _says("approvals.approve")),
    ("an auditor writes the trail", "auditor", _says("audit.agent.greeter.0.request")),
)  # fmt: skip

CASES = tuple(Case(name, partial(_is_walled, who=who, act=act)) for name, who, act in _ROWS)
