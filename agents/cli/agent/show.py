"""`agentbus agent show`: what holds for an agent in the end, where it came from, and what others see of it."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from agents.cli.agent.effective import Value, values_of
from agents.cli.agent.inventory import ModelShown, ToolShown, models_of, tools_of
from agents.cli.run import log_quietly
from agents.runtime.loading.agent_folder import read_folder
from agents.runtime.loading.load import Loaded, card_of, load_folder
from schemas import a2a, protojson
from schemas.text import harmless

_LONGEST = 60


def show(path: Path, *, as_json: bool) -> None:
    """Print it.

    Raises:
        InvalidDocument, ToolUnusable: the agent cannot be used; `agent validate` says everything that is wrong.
    """
    log_quietly()
    read = read_folder(path, os.environ)
    agent = load_folder(read)
    values = values_of(read, agent.file)
    card = card_of(agent, "", "")
    models, tools = models_of(agent), tools_of(agent)
    if as_json:
        print(json.dumps(_as_json(agent, values, models, tools, card), indent=2, ensure_ascii=False))
        return
    sections = (
        ("configuration", [_value(value, read.path.name) for value in values if _says_something(value)]),
        ("models", [_model(model) for model in models]),
        ("tools", [_tool(tool) for tool in tools] + _servers(agent)),
        ("skills in the card", [_skill(skill, card) for skill in card.skills]),
    )
    print(harmless(f"{read.path}: agent {agent.id} {agent.file.agent.version}"))
    for title, rows in sections:
        if rows:
            print(f"\n{title}")
            _print_columns(rows)


def _print_columns(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    for row in rows:
        cells = [f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)]
        print(harmless("  " + "  ".join([*cells, row[-1]])).rstrip())


def _says_something(value: Value) -> bool:
    return value.origin != "default" or value.value not in (None, "", [], {})


def _value(value: Value, file: str) -> tuple[str, ...]:
    shown = value.value if isinstance(value.value, str) else json.dumps(value.value, ensure_ascii=False)
    line = " ".join(shown.split())
    cut = line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
    origin = value.origin if value.origin in ("default", "file") else f"{value.origin} {value.source}"
    place = f"{file}:{value.line}" if value.line else ""
    return value.key, cut or '""', " ".join(filter(None, [origin if value.origin != "file" else "", place]))


def _model(model: ModelShown) -> tuple[str, ...]:
    is_known = model.input_usd is not None and model.output_usd is not None
    price = f"${model.input_usd} in, ${model.output_usd} out, a million tokens" if is_known else "price not known"
    window = f"{model.context_window:,} tokens" if model.context_window else "window not known"
    key = f"{model.key}: {model.state}" if model.key else model.state
    return f"{model.provider}/{model.model}", price, window, key


def _tool(tool: ToolShown) -> tuple[str, ...]:
    rules = "; ".join(f"{name} {json.dumps(rule, ensure_ascii=False)}" for name, rule in tool.arguments.items())
    effects = "has effects" if tool.has_effects else "no effects"
    approval = "each call needs approval" if tool.needs_approval else "no approval"
    kept = f"kept for {tool.cache_s:g} s" if tool.cache_s else ""
    more = "; ".join(filter(None, [kept, "looked at again" if tool.reflects else "", rules]))
    return tool.name, effects, approval, f"{tool.timeout_s:g} s", tool.origin, more


def _servers(agent: Loaded) -> list[tuple[str, ...]]:
    """MCP servers; which tools they have is known when the agent runs."""
    return [
        (f"mcp__{name}__…", "", f"approval for {', '.join(its.needs_approval) or 'none'}", f"{its.timeout_s:g} s",
         "MCP server", f"allowed: {', '.join(its.tools) or 'none'}" + ("; disabled" if its.disabled else ""))
        for name, its in agent.file.mcp.servers.items()
    ]  # fmt: skip


def _skill(skill: a2a.AgentSkill, card: a2a.AgentCard) -> tuple[str, ...]:
    takes = ", ".join(skill.input_modes or card.default_input_modes)
    gives = ", ".join(skill.output_modes or card.default_output_modes)
    return skill.id, f"{takes} → {gives}", skill.description


def _as_json(
    agent: Loaded,
    values: Sequence[Value],
    models: Sequence[ModelShown],
    tools: Sequence[ToolShown],
    card: a2a.AgentCard,
) -> dict[str, Any]:
    return {
        "agent": agent.id,
        "file": str(agent.path),
        "values": msgspec.to_builtins(values),
        "models": msgspec.to_builtins(models),
        "tools": msgspec.to_builtins(tools),
        "mcp_servers": {name: server.model_dump(mode="json") for name, server in agent.file.mcp.servers.items()},
        "card": json.loads(protojson.encode(card)),
    }
