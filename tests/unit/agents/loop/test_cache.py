"""Results that answer the same call again: whose, for how long, how many, and what stands around them all the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agents import llm
from agents.context import Context
from agents.llm import Pool, SystemPrompt
from agents.loop import ResultCache, ToolStep, layers_of
from agents.loop.calls import Calls
from agents.tools.catalogue import Place
from agents.tools.errors import ToolFailed, ToolUnusable
from agents.tools.row import Row
from agents.tools.sources import rows_of
from schemas.agent import Llm, McpServer, ModelChoice, RateLimit, Resilience, Tools, ToolSettings
from schemas.documents import Document, parse_value
from schemas.errors import InvalidDocument
from tests.harness.toolbox import Told, context, conversation, toolbox

OFFLINE = ModelChoice(provider="offline")
PROMPT = SystemPrompt(Llm(system_prompt="Look.", pool=(OFFLINE,)))
HERE = msgspec.structs.replace(context(), context_id="talk-1")


class Look(Document):
    """What to look for."""

    word: str
    depth: int = 1


class Looking:
    """A tool that counts how often it was asked; `error` is raised."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.error: Exception | None = None

    async def run(self, arguments: Look, _: Context) -> str:
        """What it says differs each time."""
        self.asked.append(arguments.word)
        if self.error is not None:
            raise self.error
        return f"{arguments.word} {len(self.asked)}"

    def row(self, *, has_effects: bool = False, **settings: Any) -> Row:
        """Under these settings."""
        tool = llm.Tool(name="put" if has_effects else "look", description="", input=Look)
        return Row(tool, self.run, has_effects=has_effects).under(ToolSettings.model_validate(settings))


class Talk:
    """Calls of a model in a conversation, with everything that stands around them."""

    def __init__(self, rows: tuple[Row, ...], cache: ResultCache, **limits: Any) -> None:
        self.told = Told()
        self.rows = rows
        self.cache = cache
        self.layers = layers_of(Resilience(**limits), toolbox([], self.told).audit)

    async def call(self, name: str, where: Context = HERE, **arguments: Any) -> str:
        """What the model is told."""
        whole = conversation(Pool.from_choices([OFFLINE]), PROMPT, "go", *self.rows, told=self.told, cache=self.cache)
        models = replace(whole.models, context=where, layers=self.layers)

        async def keep(_: bool) -> None:
            """Nothing is written down."""

        calls = Calls(replace(whole, models=models), keep)
        calls.take([llm.ToolCall(id="c", name=name, input=arguments)])
        await calls.run_next()
        (result,) = calls.told().results
        await models.pool.close()
        return result.text


def step(row: Row, where: Context = HERE, **arguments: Any) -> ToolStep:
    """A call that is about to be made."""
    call = llm.ToolCall(id="c", name=row.name, input=arguments)
    return ToolStep(context=where, call=call, row=row, arguments=row.tool.arguments(call))


async def test_the_same_call_is_answered_again_and_costs_no_turn() -> None:
    """It is on the trail as such, and neither waits for the rate's next turn nor asks the tool; policy is judged first."""
    tool = Looking()
    row = tool.row(cache_s=60, arguments={"word": {"deny": ["b"]}})
    talk = Talk((row,), ResultCache(), rate_limit=RateLimit(burst=1, per_second=0.001))
    assert [await talk.call("look", word="a") for _ in range(3)] == ["a 1"] * 3
    assert await talk.call("look", word="a", depth=1) == "a 1"
    assert tool.asked == ["a"]
    assert [facts["metadata"] for _, facts in talk.told.events] == [{}, *[{"cached": 1}] * 3]
    talk.cache.keep(step(row, word="b"), "never to be seen", 0)
    assert "is not allowed" in await talk.call("look", word="b")
    assert talk.told.kinds[-1] == "tool.refused"


@pytest.mark.parametrize(
    "where",
    [
        msgspec.structs.replace(HERE, caller="other"),
        msgspec.structs.replace(HERE, context_id="talk-2"),
        msgspec.structs.replace(HERE, context_id=""),
    ],
    ids=["another caller", "another conversation", "in none"],
)
async def test_nobody_gets_what_another_one_was_told(where: Context) -> None:
    """Neither another caller nor another conversation of the same one."""
    tool = Looking()
    talk = Talk((tool.row(cache_s=60),), ResultCache())
    assert await talk.call("look", word="a") == "a 1"
    assert await talk.call("look", where, word="a") == "a 2"


async def test_other_arguments_and_another_definition_are_another_call() -> None:
    """Defaults count as if they had been written."""
    tool, cache = Looking(), ResultCache()
    row = tool.row(cache_s=60)
    cache.keep(step(row, word="a"), "kept", 0)
    assert cache.found(step(row, word="a", depth=1)) == "kept"
    assert cache.found(step(row, word="a", depth=2)) is None
    assert cache.found(step(tool.row(cache_s=60), word="a")) is None
    assert cache.found(step(row, word="a")) is None  # it was dropped


async def test_effects_and_failures() -> None:
    """A failure is not kept; after something with effects everything is asked anew, also where that failed."""
    tool, writing = Looking(), Looking()
    talk = Talk((tool.row(cache_s=60), writing.row(has_effects=True)), ResultCache())
    tool.error = ToolFailed("no")
    assert [await talk.call("look", word="a") for _ in range(2)] == ["no", "no"]
    tool.error = None
    assert [await talk.call("look", word="a") for _ in range(2)] == ["a 3", "a 3"]
    writing.error = ToolFailed("half of it is done")
    await talk.call("put", word="x")
    assert await talk.call("look", word="a") == "a 4"


def test_what_was_asked_before_an_effect_is_not_kept_after_it() -> None:
    """Of two requests of one conversation at the same time one reads and the other writes: the reader may be too early."""
    cache, row = ResultCache(most_entries=2), Looking().row(cache_s=60)
    asked = cache.asked()
    for number in range(3):
        cache.forget(msgspec.structs.replace(HERE, context_id=f"talk-{number}"))
    cache.keep(step(row, word="a"), "before", asked)
    assert cache.found(step(row, word="a")) is None
    cache.keep(step(row, msgspec.structs.replace(HERE, context_id="talk-9"), word="a"), "elsewhere", asked)
    assert cache.found(step(row, msgspec.structs.replace(HERE, context_id="talk-9"), word="a")) == "elsewhere"
    cache.keep(step(row, word="a"), "after", cache.asked())
    assert cache.found(step(row, word="a")) == "after"


def test_what_is_old_or_too_much_is_dropped() -> None:
    """By the clock, by the number of results, and by their bytes; what was used last stays longest."""
    now = [0.0]
    cache = ResultCache(lambda: now[0], most_entries=2, most_bytes=10)
    row = Looking().row(cache_s=5)

    def kept(*words: str) -> list[str]:
        return [word for word in words if cache.found(step(row, word=word)) is not None]

    for word in ("a", "b"):
        cache.keep(step(row, word=word), "1234", 0)
    now[0] = 4.9
    assert kept("a") == ["a"]
    cache.keep(step(row, word="c"), "1234", 0)
    assert kept("a", "b", "c") == ["a", "c"]
    now[0] = 5.0
    assert kept("a", "c") == ["c"]
    cache.keep(step(row, word="d"), "ü" * 5, 0)
    assert kept("c", "d") == ["d"]
    cache.keep(step(row, word="e"), "x" * 11, 0)
    cache.keep(step(row, word="d"), "again", 0)
    assert kept("c", "d", "e") == ["d"]


@pytest.mark.parametrize("name", ["write", "bash", "propose_change"])
def test_each_call_with_effects_is_made(name: str, tmp_path: Path) -> None:
    """A file that wants it otherwise stops the agent from starting; so does one of a tool that people decide about."""
    with pytest.raises(ToolUnusable, match=rf"tools\.{name}\.cache_s: {name} has effects, so each call has to be made"):
        rows_of(Tools.model_validate({name: {"cache_s": 5}}), Place(tmp_path))
    with pytest.raises(ToolUnusable, match=r"tools\.read\.cache_s: read is decided about call by call"):
        rows_of(Tools.model_validate({"read": {"cache_s": 5, "approval": "always"}}), Place(tmp_path))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({}, "cache_s names 'get', which is not in 'read_only'"),
        ({"read_only": ["get"], "needs_approval": ["get"]}, "cache_s names 'get', of which people decide each call"),
    ],
)
def test_tools_of_mcp_servers_too(more: dict[str, Any], said: str) -> None:
    """What the file says of a server is refused when it is read."""
    with pytest.raises(InvalidDocument, match=said):
        parse_value({"command": "x", "tools": ["get"], "cache_s": {"get": 5}, **more}, McpServer, "agent.yaml")
