"""What an agent has to work with: its models with their prices, its tools with their policy."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from agents.llm import KeyMissing, KeyUnsafe, Usage, resolve
from agents.llm.prices import known_of
from agents.runtime.answering.remembering import remembering_of
from agents.runtime.loading.load import Loaded
from agents.testing.surroundings import Conversations, Trail
from agents.tools.catalogue import Place
from agents.tools.row import Row
from agents.tools.sources import rows_of
from schemas.agent import Llm, ModelChoice

_SAMPLE, _SAMPLES_PER_MILLION = 1000, 1000
"""Prices are those of a question of this many tokens; some models cost more where questions are very long."""


class ModelShown(msgspec.Struct, frozen=True):
    """One model of the pool. Prices are US dollars for a million tokens, as text; None where they are not known."""

    provider: str
    model: str
    key: str
    """The reference to its key; empty where it needs none."""
    state: str
    input_usd: str | None
    output_usd: str | None
    context_window: int | None


class ToolShown(msgspec.Struct, frozen=True):
    """One tool, as the model is offered it and as the toolbox runs it."""

    name: str
    description: str
    origin: str
    has_effects: bool
    needs_approval: bool
    timeout_s: float
    max_result_chars: int
    cache_s: float | None
    """How long a result answers the same call; None: each call is made."""
    reflects: str
    """What a model is asked about each result; empty: nothing."""
    arguments: dict[str, Any]
    """What the file says of each argument."""
    input: dict[str, Any]


def models_of(agent: Loaded, environment: Mapping[str, str] | None = None) -> tuple[ModelShown, ...]:
    """The pool, of a router that of its models."""
    sections = (agent.file.llm, agent.file.routing.llm if agent.file.routing else None)
    env = os.environ if environment is None else environment
    return tuple(_model(choice, env) for section in sections if section for choice in section.pool)


def tools_of(agent: Loaded) -> tuple[ToolShown, ...]:
    """The tools that the file names, made as at the agent's start; those of MCP servers are known when they run.

    Raises:
        ToolUnusable: one cannot be made.
    """
    section = agent.file.llm
    return tuple(_tools(agent, section)) if section else ()


def _tools(agent: Loaded, section: Llm) -> Iterator[ToolShown]:
    # nothing of this runs: the tools of memory want a store to be made of
    _, given = remembering_of(agent.file, section, Conversations(), Trail().audit)
    for row in rows_of(agent.file.tools, Place(agent.folder), given):
        yield _tool(row, agent.file.resilience.tool_timeout_s)


def _tool(row: Row, timeout_s: float) -> ToolShown:
    spec = row.tool.spec()
    return ToolShown(
        name=row.name, description=spec.description, origin=row.origin, has_effects=row.has_effects,
        needs_approval=row.needs_approval, timeout_s=row.timeout_s or timeout_s, max_result_chars=row.max_result_chars,
        cache_s=row.cache_s, reflects=row.reflects,
        arguments={name: rule.model_dump(exclude_defaults=True) for name, rule in row.arguments.items()},
        input=spec.input_schema,
    )  # fmt: skip


def _model(choice: ModelChoice, environment: Mapping[str, str]) -> ModelShown:
    known = known_of(choice)
    return ModelShown(
        provider=choice.provider, model=choice.model, key=choice.api_key or "", state=_state(choice, environment),
        input_usd=_dollars(known.cost(Usage(input_tokens=_SAMPLE, output_tokens=0))),
        output_usd=_dollars(known.cost(Usage(input_tokens=0, output_tokens=_SAMPLE))),
        context_window=known.window,
    )  # fmt: skip


def _dollars(amount: Any) -> str | None:
    return None if amount is None else f"{(amount * _SAMPLES_PER_MILLION).normalize():f}"


def _state(choice: ModelChoice, environment: Mapping[str, str]) -> str:
    if choice.provider == "offline":
        return "a stand-in, no model"
    if not choice.api_key:
        return "without a key"
    try:
        resolve(choice.api_key, environment)
    except KeyMissing:
        return "skipped: its key is missing" if choice.when_key_is_missing == "skip" else "its key is missing"
    except KeyUnsafe:
        return "its key may not be used"
    return "its key is there"
