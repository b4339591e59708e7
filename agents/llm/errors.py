"""Errors of the model layer. `str()` says which model, what happened and what the operator should do.

    AgentbusError
    ├── PoolUnusable          the configuration cannot work: the operator's to fix
    │   ├── KeyMissing            a key reference leads nowhere
    │   ├── KeyUnsafe             a key was found and may not be used: others can read it, or it is no key
    │   └── ExtraMissing          the provider's package is not installed
    └── LlmError              a call failed; `cause` says why           next model   same call again
        ├── KeyRefused        auth       the key is wrong or may not      yes          no
        ├── QuotaExhausted    quota      no credit, or a spending limit   yes          no
        ├── RateExceeded      rate       too many requests or tokens      yes          yes, after `retry_after_s`
        ├── Overloaded        overload   the provider fails or is full    yes          yes
        ├── TimedOut          timeout    no whole answer in time          yes          yes
        ├── NetworkFailed     network    not reached, or cut off          yes          yes
        ├── ContextOverflow   context    the conversation is too long     yes          no
        ├── PolicyRefused     policy     the provider refuses the topic   yes          no
        ├── ModelUnknown      model      no such model or address         yes          no
        ├── AnswerUnreadable  answer     the answer is not of its format  yes          yes
        ├── RequestMalformed  malformed  we sent what nobody accepts      no           no
        ├── BudgetExhausted   budget     the task may not spend that      yes          no
        ├── TooManyRounds     rounds     the model kept asking for tools  no           no
        └── AllFailed         all        every model of the pool failed   no           when one of them is

What a provider wrote never stands in a message: it may repeat the key or the conversation. Its error
code, HTTP status and request id do, where they are plain words.

A call that timed out or was cut off may have been billed all the same: its `usage` is unknown, not 0.
"""

from __future__ import annotations

import re
from typing import ClassVar, Final, Literal

from schemas.errors import AgentbusError
from schemas.redaction import REGISTERED

from .conversation import Usage

Cause = Literal[
    "auth", "quota", "rate", "overload", "timeout", "network", "context",
    "policy", "model", "answer", "malformed", "budget", "rounds", "all",
]  # fmt: skip
_NONE: Final = Usage(input_tokens=0, output_tokens=0)
_UNKNOWN: Final = Usage()
_PLAIN = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


class PoolUnusable(AgentbusError):
    """No model can be asked with this configuration."""


class KeyMissing(PoolUnusable):
    """A reference to a key leads nowhere; the message names the reference."""


class KeyUnsafe(PoolUnusable):
    """A key file that others can read, or a value that cannot be a key; the message names the reference."""


class ExtraMissing(PoolUnusable):
    """The provider's package is not installed; the message says what to install."""


class LlmError(AgentbusError):
    """A call of a model failed. `where` is `provider/model`; `detail` holds plain words only."""

    cause: ClassVar[Cause]
    retryable: bool = False
    may_try_next: ClassVar[bool] = True
    advice: ClassVar[str]
    usage: Usage = _NONE
    """What the failed call is billed for, as far as that is known: a call that was refused is not."""

    def __init__(self, where: str, detail: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(f"{where}: {detail}; {self.advice}")
        self.where = where
        self.detail = detail
        self.retry_after_s = retry_after_s


class KeyRefused(LlmError):
    """HTTP 401 or 403."""

    cause = "auth"
    advice = "check that api_key refers to a valid key that may use this model"


class QuotaExhausted(LlmError):
    """The account has no credit, or a spending limit is reached."""

    cause = "quota"
    advice = "add credit or raise the spending limit of the provider's account"


class RateExceeded(LlmError):
    """HTTP 429. `retry_after_s` is what the provider asked for, None where it did not."""

    cause, retryable = "rate", True
    advice = "send less, raise the account's limit, or add another model to the pool"


class Overloaded(LlmError):
    """HTTP 5xx, 529 among them."""

    cause, retryable = "overload", True
    advice = "the provider has a fault or is full: try later, or add another model to the pool"


class TimedOut(LlmError):
    """The whole answer was not there within the call's `timeout_s`."""

    cause, retryable, usage = "timeout", True, _UNKNOWN
    advice = "raise llm.request_timeout_s, lower max_tokens, or try later"


class NetworkFailed(LlmError):
    """No connection, or it ended before the answer did."""

    cause, retryable, usage = "network", True, _UNKNOWN
    advice = "check base_url, the network and the proxy variables of this process"


class ContextOverflow(LlmError):
    """The prompt and the turns are longer than the model's window."""

    cause = "context"
    advice = "shorten the conversation or choose a model with a larger window"


class PolicyRefused(LlmError):
    """The provider's content policy stopped the question or the answer."""

    cause = "policy"
    advice = "reword the request, or let another provider answer"


class ModelUnknown(LlmError):
    """HTTP 404."""

    cause = "model"
    advice = "check model and base_url; the account may not have this model"


class AnswerUnreadable(LlmError):
    """The provider answered 200 with something that is not an answer."""

    cause, retryable, usage = "answer", True, _UNKNOWN
    advice = "check that base_url leads to a server that speaks this provider's protocol"


class RequestMalformed(LlmError):
    """Other HTTP 4xx: another model would refuse it too."""

    cause, may_try_next = "malformed", False
    advice = "check the tools' schemas and the agent's llm section"


class BudgetExhausted(LlmError):
    """The call was not made: it could cost more than the task has left, or nobody knows what it costs."""

    cause = "budget"
    advice = "raise budget.max_cost_per_task_usd, or use a cheaper model"


class TooManyRounds(LlmError):
    """The model still asked for tools after the last round that it was given."""

    cause, may_try_next = "rounds", False
    advice = "raise budget.max_iterations, or make the prompt say when to stop"


class AllFailed(LlmError):
    """Every model of the pool failed; `failures` are in the order of trying."""

    cause, may_try_next = "all", False
    advice = "see each cause"

    def __init__(self, failures: tuple[LlmError, ...]) -> None:
        causes = "\n".join(f"- {failure.cause}: {failure}" for failure in failures)
        delays = [failure.retry_after_s for failure in failures if failure.retry_after_s is not None]
        retry_after_s = min(delays) if delays else None
        super().__init__("llm", f"no model of the pool answered ({len(failures)} tried)", retry_after_s=retry_after_s)
        self.args = (f"{self.args[0]}\n{causes}",)
        self.failures = failures
        self.retryable = any(failure.retryable for failure in failures)


def plain(word: object) -> str:
    """`word` where it is one plain word and no secret, else nothing: for codes and ids that came from outside."""
    is_plain = isinstance(word, str) and _PLAIN.fullmatch(word) and not REGISTERED.are_in(word)
    return str(word) if is_plain else ""
