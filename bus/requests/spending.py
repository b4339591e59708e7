"""Money down the chain of agents, and its cost back up.

The account of the work that is being done is a context variable, as the trace and the chain are. A request that a
handler makes, anywhere inside it, takes a part of the work's budget before it is sent, and carries it in
`Agentbus-Budget`: requests that are under way at the same time cannot spend the same cent. What the answer tells of
its cost (`schemas.usage`) takes the part's place, and is added up in the account, whose sum stands in the work's own
answer.

    account = spending.Account(budget)
    spending.enter(account)
    …                                    # models call account.used(…), requests take their share by themselves
    metadata = account.metadata()

Both are hints between honest agents, as the chain is: one that spends without telling is bounded by what it has of its
own. What another agent tells is taken from the budget up to the part that it was given, never more.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from decimal import ROUND_DOWN, Decimal
from types import TracebackType
from typing import Any, Final, Protocol, Self

import msgspec

from schemas import a2a, names
from schemas.errors import A2AError, DeadlineExceeded, InvalidAgentResponse
from schemas.usage import NOTHING, SMALLEST_USD, USAGE_KEY, Chain, Usage, amount_text

HALF: Final = Decimal("0.5")
ALL: Final = Decimal(1)
_PAYS = frozenset({"SendMessage", "SendStreamingMessage"})
_UNKNOWN = Usage(input_tokens=None, output_tokens=None, cost_usd=None)
_NOTHING_USED, _NOTHING_TOLD = Usage(), Chain()
_UNTOLD = Chain(requests=1, input_tokens=None, output_tokens=None, cost_usd=None)
_MOST_REMEMBERED = 1024


class Part(Protocol):
    """A part of a budget that is taken for one thing."""

    def settle(self, actual: Decimal | None) -> None:
        """Replace it by what the thing did cost; None: nobody knows."""


class Purse(Protocol):
    """What the work may spend: `agents.llm.Budget` is one."""

    @property
    def left(self) -> Decimal | None:
        """What can still be taken; None without a limit."""

    @property
    def spent(self) -> Decimal:
        """Taken so far."""

    def reserve(self, estimate: Decimal | None, where: str = "budget") -> Part:
        """Take a part."""


class Account:
    """What one piece of work may spend, and what it did. `earlier` is what the task's runs before this one did."""

    def __init__(self, purse: Purse, earlier: Usage | None = None) -> None:
        self.purse: Final = purse
        self._earlier = earlier or _NOTHING_USED
        self._own = _NOTHING_USED
        self._chain = _NOTHING_TOLD
        self._is_used = earlier is not None
        self._caught_up = NOTHING
        self.further: dict[str, Any] = {}
        """What else the answer's metadata tell, by key."""

    def used(self, usage: Usage) -> None:
        """A model of the agent's own was called."""
        self._own = self._own.plus(usage)
        self._is_used = True

    def catch_up(self, earlier: Usage) -> None:
        """Earlier runs did cost this, as they wrote down themselves; what they told is less where one was cut short."""
        more = counted(earlier) - counted(self._earlier)
        if earlier == Usage() or more < 0 or _tokens(earlier) < _tokens(self._earlier):
            return
        self._earlier, self._is_used, self._caught_up = earlier, True, more
        self.purse.reserve(NOTHING).settle(more)

    def told(self, chain: Chain) -> None:
        """Another agent told what its answer did cost."""
        self._chain = self._chain.plus(chain)
        self._is_used = True

    @property
    def own(self) -> Usage:
        """What the agent's own models did in this run."""
        return self._own

    @property
    def usage(self) -> Usage:
        """All of it, that of earlier runs too."""
        usage = self._earlier.plus(msgspec.structs.replace(self._own, chain=self._chain))
        if usage.total.cost_usd is not None:
            return usage
        return msgspec.structs.replace(usage, counted_usd=counted(self._earlier) + self.purse.spent - self._caught_up)

    def metadata(self) -> dict[str, Any]:
        """For the metadata of the answer; nothing where nothing was used."""
        return self.further | ({USAGE_KEY: self.usage.as_json()} if self._is_used else {})

    def on(self, task: a2a.Task) -> a2a.Task:
        """The task, telling it."""
        found = self.metadata()
        return msgspec.structs.replace(task, metadata=task.metadata | found) if found else task


def counted(usage: Usage) -> Decimal:
    """What was taken from a budget for it."""
    if usage.counted_usd is not None:
        return usage.counted_usd
    return usage.total.cost_usd or NOTHING


def _tokens(usage: Usage) -> float:
    """Of a model's own and others' tokens; unknown is more than any number."""
    sides = (usage.input_tokens, usage.output_tokens, usage.chain.input_tokens, usage.chain.output_tokens)
    return math.inf if None in sides else sum(side for side in sides if side is not None)


_account: ContextVar[Account | None] = ContextVar("account", default=None)
_portion: ContextVar[Decimal | None] = ContextVar("portion", default=None)
_fraction: ContextVar[Decimal] = ContextVar("fraction", default=HALF)


def enter(account: Account) -> None:
    """What is spent in the rest of this task, which has a context of its own, is spent of `account`."""
    _account.set(account)


def current() -> Account | None:
    """The account of the work that is running here."""
    return _account.get()


def told_on(task: a2a.Task) -> a2a.Task:
    """The task, telling what the work that is running here did cost."""
    account = _account.get()
    return account.on(task) if account else task


def used(usage: Usage) -> None:
    """A model was called for the work that is running here."""
    account = _account.get()
    if account is not None:
        account.used(usage)


def tell(key: str, value: Any) -> None:
    """Have the metadata of the answer that is worked on here tell `value` under `key`."""
    account = _account.get()
    if account is not None:
        account.further[key] = value


@contextmanager
def allotted(amount: Decimal | None = None, *, fraction: Decimal = HALF) -> Iterator[None]:
    """Each request that is made inside takes `amount` dollars of the budget, or else this fraction of what is left.

    Never more than is left. Half of it is what a request takes otherwise: others may be under way.
    """
    portion, share = _portion.set(amount), _fraction.set(fraction)
    try:
        yield
    finally:
        _portion.reset(portion)
        _fraction.reset(share)


def on_error(error: A2AError) -> A2AError:
    """The error, telling what was spent before it."""
    account = _account.get()
    found = account.metadata() if account else {}
    told = {key: value for key, value in error.metadata.items() if key != USAGE_KEY}
    error.metadata = told | {key: msgspec.json.encode(value).decode() for key, value in found.items()}
    return error


def _told_by(error: A2AError) -> Usage | None:
    try:
        return Usage.told_in({USAGE_KEY: msgspec.json.decode(error.metadata[USAGE_KEY])})
    except KeyError:
        return None
    except msgspec.DecodeError:
        return _UNKNOWN


class Shares:
    """The shares of one caller's requests. It remembers what unfinished tasks have told: they tell their whole cost."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], Chain] = {}
        """By agent and task."""

    def of(self, agent: str, operation: str, request: a2a.A2AObject) -> Share:
        """The share of a request that is about to be sent; one of nothing where it makes no work."""
        account = _account.get() if operation in _PAYS else None
        task = request.message.task_id if isinstance(request, a2a.SendMessageRequest) else ""
        return Share(account, self, agent, task)

    def new(self, agent: str, task: str, told: Chain) -> Chain:
        """What of a task's cost was not told before."""
        before = self._known.pop((agent, task), Chain())
        self._known[agent, task] = told
        if len(self._known) > _MOST_REMEMBERED:
            del self._known[next(iter(self._known))]
        return _less(told, before)


class Share:
    """The part of a budget that one request takes along. A context: leaving it settles the part."""

    def __init__(self, account: Account | None, shares: Shares, agent: str, task: str) -> None:
        self._account, self._shares, self._agent, self._task = account, shares, agent, task
        self._amount: Decimal | None = None
        self._part: Part | None = None
        self._told: Chain | None = None

    def headers(self) -> dict[str, str]:
        """What the request carries, inside the context."""
        return {} if self._amount is None else {names.BUDGET: amount_text(self._amount)}

    def __enter__(self) -> Self:
        if self._account is not None:
            purse = self._account.purse
            if purse.left is not None:
                portion = _portion.get()
                wanted = purse.left * _fraction.get() if portion is None else portion
                self._amount = min(purse.left, wanted).quantize(SMALLEST_USD, ROUND_DOWN)
            self._part = purse.reserve(self._amount or NOTHING, self._agent)
        return self

    def answered(self, answer: object) -> None:
        """Take down what an answer, or a frame of one, tells; the last one counts."""
        if self._account is None:
            return
        if isinstance(answer, a2a.SendMessageResponse | a2a.StreamResponse) and answer.message is not None:
            self._told = _total(Usage.told_in(answer.message.metadata))
        elif isinstance(answer, a2a.SendMessageResponse | a2a.StreamResponse) and answer.task is not None:
            self._of_task(answer.task.id, answer.task.status.state, answer.task.metadata)
        elif isinstance(answer, a2a.StreamResponse) and answer.status_update is not None:
            update = answer.status_update
            self._of_task(update.task_id, update.status.state, update.metadata)

    def _of_task(self, task: str, state: a2a.TaskState, metadata: dict[str, Any]) -> None:
        self._task = task
        is_over = state in a2a.TERMINAL or state in a2a.INTERRUPTED
        self._told = _total(Usage.told_in(metadata)) if is_over else None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._account is None or self._part is None:
            return
        told = self._told
        if isinstance(error, A2AError):
            usage = _told_by(error)
            is_unsure = usage is None and isinstance(error, DeadlineExceeded | InvalidAgentResponse)
            told = None if is_unsure else _total(usage)
        elif error is not None and not isinstance(error, GeneratorExit):
            told = None
        self._settle(told)

    def _settle(self, told: Chain | None) -> None:
        assert self._account is not None and self._part is not None  # noqa: S101, PT018  entered, with an account
        if told is None:
            told = _UNTOLD
        elif self._task:
            told = self._shares.new(self._agent, self._task, told)
        cost = told.cost_usd
        if cost is not None and self._amount is not None:
            cost = min(cost, self._amount)
        self._part.settle(cost)
        if told is not _NOTHING_TOLD and told != _NOTHING_TOLD:
            self._account.told(told)


def _total(usage: Usage | None) -> Chain:
    """What an answer tells; one that tells nothing did cost nothing."""
    return usage.total if usage is not None else _NOTHING_TOLD


def _less(told: Chain, before: Chain) -> Chain:
    return Chain(
        requests=max(0, told.requests - before.requests),
        input_tokens=_difference(told.input_tokens, before.input_tokens),
        output_tokens=_difference(told.output_tokens, before.output_tokens),
        cost_usd=_difference(told.cost_usd, before.cost_usd),
    )


def _difference[N: (int, Decimal)](one: N | None, other: N | None) -> N | None:
    return None if one is None else max(one - (other or 0), type(one)(0))
