"""One choice of a pool with its key and its provider, opened by the first call that needs it."""

from __future__ import annotations

import asyncio
import importlib.util
import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final

import msgspec
import structlog

from agents.llm.conversation import Completion, Usage
from agents.llm.counting import tokens_of
from agents.llm.errors import ExtraMissing, KeyMissing, LlmError, PoolUnusable
from agents.llm.prices import Known, known_of
from agents.llm.providers.anthropic import AnthropicProvider
from agents.llm.providers.base import Provider, Settings
from agents.llm.providers.offline import OfflineProvider
from agents.llm.providers.openai import DIALECTS, OpenAIProvider
from agents.llm.secrets import Secret, resolve
from schemas.agent import ModelChoice

from .circuit import Circuit
from .failover import Failover

_NOTHING_YET: Final = Known(lambda _: None)
PROBE_TIMEOUT_S: Final = 5.0
COUNT_MARGIN: Final = 50
"""A count may differ from what is billed by a few tokens: one part in so many is added."""
_log = structlog.get_logger("llm")


def _offline(_: Settings) -> Provider:
    return OfflineProvider()


_OPENERS: Final[dict[str, Callable[[Settings], Provider]]] = {
    "offline": _offline,
    "anthropic": AnthropicProvider,
    **dict.fromkeys(DIALECTS, OpenAIProvider),
}
PACKAGES: Final = {"anthropic": "anthropic", **dict.fromkeys(DIALECTS, "openai")}
"""Provider to the package, and the extra, that it needs."""


class Member:
    """A choice that can be asked. Its provider is opened once, however many calls want it."""

    def __init__(
        self,
        choice: ModelChoice,
        key: Secret | None,
        circuit: Circuit,
        failover: Failover,
        provider: Provider | None = None,
    ) -> None:
        self.choice = choice
        self.circuit = circuit
        self._known: Known = _NOTHING_YET if provider is None else known_of(choice)
        self.where = f"{choice.provider}/{choice.model}"
        self._settings = Settings(
            model=choice.model,
            max_tokens=choice.max_tokens,
            provider=choice.provider,
            api_key=key,
            base_url=choice.base_url,
            api_version=choice.api_version,
            sampling=choice.sampling,
        )
        self._provider = provider
        self._opening = asyncio.Lock()
        self._failover = failover
        self.probe: asyncio.Task[None] | None = None
        self._probed_at = -math.inf

    @property
    def window(self) -> int | None:
        """How many tokens the model can read and write together; None where that is not known, or not looked up yet."""
        return self._known.window or self.choice.context_window

    async def provider(self) -> Provider:
        """The provider, open."""
        async with self._opening:
            if self._provider is None:
                # importing a provider's package takes up to two seconds; the loop has heartbeats to send meanwhile
                self._provider = await asyncio.to_thread(_OPENERS[self.choice.provider], self._settings)
                self._known = await asyncio.to_thread(known_of, self.choice)
                _log.info(
                    "llm.provider_opened",
                    provider=self.choice.provider,
                    model=self.choice.model,
                    is_model=self.choice.provider != "offline",
                )
            return self._provider

    async def close(self) -> None:
        """Close the provider, if it is open; the next call opens it again."""
        if self.probe is not None:
            self.probe.cancel()
            await asyncio.gather(self.probe, return_exceptions=True)
        async with self._opening:
            if self._provider is not None:
                await self._provider.close()
                self._provider = None

    def probe_soon(self) -> None:
        """Look, beside the call that wants the model, whether its provider is back; now and then, and one at a time."""
        now = self._failover.clock.now()
        is_due = now - self._probed_at >= self._failover.probe_every_s
        if self.circuit.can_be_probed and is_due and (self.probe is None or self.probe.done()):
            self._probed_at = now
            self.probe = asyncio.create_task(self._look())

    async def _look(self) -> None:
        provider = await self.provider()
        try:
            await provider.probe(PROBE_TIMEOUT_S)
        except LlmError as error:
            _log.info("llm.probe_failed", provider=self.choice.provider, model=self.choice.model, cause=error.cause)
        else:
            self.circuit.probed()

    async def count(self, completion: Completion) -> int | None:
        """The tokens of the question by the provider's own count, with a margin for what it adds; None: it has none."""
        provider = await self.provider()
        try:
            counted = await provider.count(msgspec.structs.replace(completion, timeout_s=PROBE_TIMEOUT_S))
        except LlmError as error:
            _log.info("llm.count_failed", provider=self.choice.provider, model=self.choice.model, cause=error.cause)
            return None
        return None if counted is None else counted + counted // COUNT_MARGIN

    def estimate(self, completion: Completion, input_tokens: int | None = None) -> Decimal | None:
        """What the call can cost at most, in US dollars, as far as tokens can be guessed; None: no price is known."""
        counted = tokens_of(completion) if input_tokens is None else input_tokens
        return self.cost(Usage(input_tokens=counted, output_tokens=self._settings.max_tokens_of(completion)))

    def cost(self, usage: Usage) -> Decimal | None:
        """What these tokens cost; None where the price, or one of the counts, is unknown. The provider is open."""
        return self._known.cost(usage)


def keyed(choice: ModelChoice, environment: Mapping[str, str] | None) -> tuple[ModelChoice, Secret | None] | None:
    """The choice with its key; None where its key is missing and it may be skipped.

    Raises:
        KeyMissing: its key is missing, and it says `fail`.
        KeyUnsafe: its key is there and may not be used.
        ExtraMissing: its package is not installed.
    """
    try:
        key = resolve(choice.api_key, environment) if choice.api_key else None
    except KeyMissing as missing:
        if choice.when_key_is_missing == "fail":
            raise _told(missing, choice) from None
        _log.warning("llm.choice_skipped", provider=choice.provider, model=choice.model, reason=str(missing))
        return None
    package = PACKAGES.get(choice.provider)
    if package and importlib.util.find_spec(package) is None:
        raise ExtraMissing(
            f"provider {choice.provider}: its package is not installed; run: pip install 'agentbus[{package}]'"
        )
    return choice, key


def _told(missing: PoolUnusable, choice: ModelChoice) -> KeyMissing:
    return KeyMissing(
        f"provider {choice.provider}: {missing}; set it, or write when_key_is_missing: skip to do without this model"
    )
