"""A toolbox: what it offers, what it lets through, and what it tells the trail."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from agents import llm
from agents.context import Context
from agents.tools.catalogue import Place
from agents.tools.errors import ToolFailed, ToolLate, ToolRefused, ToolUnusable
from agents.tools.policy import matches
from agents.tools.row import Row
from agents.tools.sources import rows_of
from schemas.agent import Tools, ToolSettings
from schemas.documents import Document
from schemas.errors import AgentbusError, InvalidDocument, Unavailable
from tests.harness.toolbox import Told, called, toolbox


class Note(Document):
    """What a note is."""

    path: str = "default.md"
    tags: tuple[str, ...] = ()
    size: int = 0


async def keep(arguments: Note, _: Context) -> str:
    """Say what came."""
    return f"kept {arguments.path} " + "x" * arguments.size


def row(run: Any = keep, *, has_effects: bool = True, **settings: Any) -> Row:
    """The tool `note` under these settings."""
    tool = llm.Tool(name="note", description="Keeps a note.", input=Note)
    return Row(tool, run, has_effects=has_effects).under(ToolSettings.model_validate(settings))


@pytest.mark.parametrize("has_effects", [True, False])
async def test_intent_comes_before_effects_alone(has_effects: bool) -> None:
    """A tool with effects is told and confirmed before it runs; any tool's end is told."""
    told = Told()
    assert await called(toolbox([row(has_effects=has_effects)], told), "note", path="a.md") == "kept a.md "
    assert told.kinds == ["tool.intended"] * has_effects + ["tool.finished"]
    assert told.confirmed == has_effects


@pytest.mark.parametrize(
    ("rules", "arguments", "is_allowed"),
    [
        ({"path": {"allow": ["notes/**"]}}, {"path": "notes/a/b.md"}, True),
        ({"path": {"allow": ["notes/*"]}}, {"path": "notes/a/b.md"}, False),
        ({"path": {"allow": ["notes/**"]}}, {"path": "other.md"}, False),
        ({"path": {"allow": ["notes/**"]}}, {}, False),
        ({"path": {"deny": ["**secret**"]}}, {"path": "a\nsecret"}, False),
        ({"path": {"deny": ["**secret**"]}}, {"path": "a"}, True),
        ({"path": {"allow": ["**"], "deny": ["default.md"]}}, {}, False),
        ({"path": {"deny": ["x"]}}, {"path": "y" * 10_001}, False),
        ({"tags": {"allow": ["a", "b"]}}, {"tags": ["a", "b"]}, True),
        ({"tags": {"allow": ["a", "b"]}}, {"tags": ["a", "c"]}, False),
        ({"size": {"must": {"maximum": 9}}}, {"size": 10}, False),
        ({"size": {"must": {"maximum": 9}}}, {"size": 9}, True),
        ({"size": {"allow": ["9"]}}, {"size": 9}, False),
    ],
)
async def test_the_file_decides_about_arguments(
    rules: dict[str, Any], arguments: dict[str, Any], is_allowed: bool
) -> None:
    """What is not allowed is not run, and the trail has that; defaults count as if they had been written."""
    told = Told()
    box = toolbox([row(arguments=rules)], told)
    if is_allowed:
        await called(box, "note", **arguments)
        return
    with pytest.raises(ToolRefused):
        await called(box, "note", **arguments)
    assert told.kinds == ["tool.refused"]


async def test_a_late_tool_is_stopped() -> None:
    """The model is told, and so is the trail."""
    told = Told()
    stopped = asyncio.Event()

    async def hang(_: Any, __: Context) -> str:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()
        return ""

    with pytest.raises(ToolLate, match=r"did not end within 0.01 s"):
        await called(toolbox([row(hang, timeout_s=0.01)], told), "note")
    assert stopped.is_set()
    assert told.events[-1][1]["reason"] == "too late"


@pytest.mark.parametrize("kind", [ToolFailed, InvalidDocument, Unavailable])
async def test_what_a_model_wrote_is_not_on_the_trail(kind: type[AgentbusError]) -> None:
    """A tool's refusal may repeat it for the model; the trail gets a word."""
    told = Told()

    async def fail(arguments: Any, _: Context) -> str:
        raise kind(f"there is no {arguments.path}")

    with pytest.raises(kind, match="my-words"):
        await called(toolbox([row(fail)], told), "note", path="my-words")
    assert "my-words" not in repr(told.events)


async def test_results_are_cut() -> None:
    """A model is told no more than the file allows, and that there was more."""
    said = await called(toolbox([row(max_result_chars=200)]), "note", size=5000)
    assert len(said) < 300
    assert "5016 characters, 200 shown" in said


async def test_canceling_ends_the_tool_and_is_told() -> None:
    """Whoever cancels a request cancels its tool."""
    told, begun = Told(), asyncio.Event()

    async def hang(_: Any, __: Context) -> str:
        begun.set()
        await asyncio.Event().wait()
        return ""

    running = asyncio.ensure_future(called(toolbox([row(hang)], told), "note"))
    await begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert told.events[-1][1]["outcome"] == "unknown"


def test_only_what_the_file_names_is_offered(tmp_path: Path) -> None:
    """Neither a tool that others can give nor one of the product is there unasked."""
    place = Place(tmp_path)
    assert rows_of(Tools(), place, [row()]) == ()
    assert [each.name for each in rows_of(Tools.of("note"), place, [row()])] == ["note"]
    with pytest.raises(ToolUnusable, match="note cannot be used by this agent"):
        rows_of(Tools.of("note"), place)


def test_settings_only_ever_add_approval() -> None:
    """A row that needs approval keeps it."""
    strict = Row(row().tool, keep, has_effects=True, needs_approval=True)
    assert strict.under(ToolSettings()).needs_approval
    assert row(approval="always").needs_approval


def test_rules_for_arguments_that_there_are_not_are_refused(tmp_path: Path) -> None:
    """A rule that would never hold is a mistake."""
    tools = Tools.model_validate({"note": {"arguments": {"file": {"allow": ["a"]}}}})
    with pytest.raises(ToolUnusable, match="there is no 'file'; there are: path, tags, size"):
        rows_of(tools, Place(tmp_path), [row()])


def test_two_tools_of_one_name_are_refused() -> None:
    """A model could not tell them apart, nor could a reviewer."""
    with pytest.raises(ToolUnusable, match="two tools are called note"):
        toolbox([row(), row()])


def test_patterns() -> None:
    """`*` ends at a slash, `**` nowhere."""
    assert matches("a/*.md", "a/b.md")
    assert not matches("a/*.md", "a/b/c.md")
    assert matches("**/x", "x")
    assert matches("**/x/**", "https://a.example/x/y")
    assert not matches("**/x", "ax")
    assert matches("a/**", "a/b\nc")
    assert not matches("a.c", "abc")
