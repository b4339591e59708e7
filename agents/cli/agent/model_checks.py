"""What a schema cannot know of an agent with a model: its packages, its prices, its tools."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import Any, Final

from agents.cli.agent.draft import Check, Draft
from agents.llm import Usage
from agents.llm.pool.member import PACKAGES
from agents.llm.prices import known_of
from agents.tools.catalogue import Place as Workplace
from agents.tools.errors import ToolUnusable, told_of
from agents.tools.sources import rows_of
from schemas.agent import Llm, ModelChoice, Tools
from schemas.agent.addresses import is_here, require_address
from schemas.errors import Problem
from schemas.written import Path as Place

_OF_MEMORY: Final = {"note": False, "recall": True}
"""Tools that memory gives, and whether they need its section."""
_A_TOKEN: Final = Usage(input_tokens=1, output_tokens=1)


def _providers(draft: Draft) -> Iterator[Problem]:
    """The packages of the models' providers are installed, and a limit of cost leaves models that may be asked."""
    for path, section in _sections_of_models(draft):
        for number, choice in enumerate(section.pool):
            here = (*path, "pool", number)
            package = PACKAGES.get(choice.provider)
            if package and importlib.util.find_spec(package) is None:
                said = f"its package is not installed here; run: pip install 'agentbus[{package}]'"
                yield draft.problem((*here, "provider"), said, "warning")
            if choice.api_key and _is_read_on_the_way(choice.base_url or ""):
                said = "http:// beyond this machine: the key and all that is said can be read on the way; use https://"
                yield draft.problem((*here, "base_url"), said, "warning")
            if _is_refused_for_its_price(draft, choice):
                said = (
                    "its price is not known here, so under budget.max_cost_per_task_usd it is never asked; "
                    "write price, or budget.unknown_price: allow"
                )
                yield draft.problem((*here, "model"), said, "warning")


def _sections_of_models(draft: Draft) -> Iterator[tuple[Place, Llm]]:
    file = draft.examined.file
    if file and file.llm:
        yield ("llm",), file.llm
    if file and file.routing and file.routing.llm:
        yield ("routing", "llm"), file.routing.llm


def _is_read_on_the_way(base_url: str) -> bool:
    if not base_url:
        return False
    scheme, host = require_address(base_url)
    return scheme == "http" and not is_here(host)


def _is_refused_for_its_price(draft: Draft, choice: ModelChoice) -> bool:
    limits = draft.examined.file.budget if draft.examined.file else None
    if limits is None or limits.max_cost_per_task_usd is None or limits.unknown_price == "allow":
        return False
    return known_of(choice).cost(_A_TOKEN) is None


def _tools(draft: Draft) -> Iterator[Problem]:
    """Each tool can be made as the file wants it; nothing of it is run."""
    file = draft.examined.file
    if file is None or file.llm is None:
        return
    for name, settings in file.tools.named.items():
        if name in _OF_MEMORY:
            if _OF_MEMORY[name] and file.memory is None:
                yield draft.problem(("tools", name), f"{name} needs the section memory")
            continue
        try:
            alone: dict[str, Any] = {name: settings}
            rows_of(Tools.model_construct(**alone), Workplace(draft.folder))
        except ToolUnusable as error:
            yield draft.problem(("tools", name), told_of(name, error))


def _unused(draft: Draft) -> Iterator[Problem]:
    """Sections that are for agents with a model."""
    if draft.at("handler") is not None and draft.at("llm") is None and draft.at("tools"):
        said = "tools are for a model; a handler does without, and this has no effect"
        yield draft.problem(("tools",), said, "warning")


MODEL_CHECKS: tuple[Check, ...] = (_providers, _tools, _unused)
