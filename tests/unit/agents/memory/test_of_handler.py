"""`ctx.memory`: what a handler remembers of its callers, tried as an author would try it."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.memory.errors import InvalidNote, NotesFull
from agents.remembering import NotRemembering
from agents.runtime.loading.load import load_agent
from agents.testing import trial
from schemas.errors import InvalidArgument, InvalidDocument
from schemas.sessions import SESSIONS_URI

HANDLER = """
from agents.skill import Context, Said, skill


@skill(description="Keeps, shows and forgets notes.")
async def note(request: str, ctx: Context) -> str:
    do, name, *text = request.split(" ", 2)
    if do == "put":
        await ctx.memory.put(name, *text)
    if do == "forget":
        return str(await ctx.memory.forget(name))
    if do == "list":
        return " ".join(f"{name}={note.text}" for name, note in (await ctx.memory.list()).items())
    kept = await ctx.memory.get(name)
    return f"{kept.text} ({kept.caller})" if kept else "none"


@skill(description="Says what was said before.")
async def talk(request: str, ctx: Context) -> str:
    earlier = await ctx.memory.recall()
    await ctx.memory.append(Said("caller", request), Said("agent", f"you said {request}"))
    assert len(await ctx.memory.recall()) == len(earlier) + 2
    return " | ".join(f"{said.by}: {said.text}" for said in earlier)


@skill(description="Looks for words.")
async def find(request: str, ctx: Context) -> str:
    return " | ".join(said.text for said in await ctx.memory.recall(request, limit=2))


@skill(description="Asks back in the middle.")
async def order(request: str, ctx: Context) -> str:
    await ctx.memory.append(Said("caller", request))
    size = await ctx.input_required("Which size?")
    await ctx.memory.append(Said("caller", size.text()))
    return " ".join(said.text for said in await ctx.memory.recall())


SKILLS = [note, talk, find, order]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An agent that remembers."""
    (tmp_path / "handler.py").write_text(HANDLER)
    return _remembering(tmp_path, "memory: {session_ttl_s: 60}")


def _remembering(folder: Path, section: str) -> Path:
    (folder / "agent.yaml").write_text(f"agent: {{id: probe, description: d}}\nhandler: handler.py:SKILLS\n{section}\n")
    return folder


async def test_notes_are_their_callers(folder: Path) -> None:
    """Written over, listed and forgotten by one caller, unseen by another."""
    async with trial(folder) as agent:
        for text in ("small", "very large"):
            assert await agent.ask(f"put size {text}", skill="note") == f"{text} (tester)"
        await agent.ask("put colour red", skill="note")
        assert await agent.ask("list -", skill="note") == "size=very large colour=red"
        agent.caller = "ann"
        assert await agent.ask("get size", skill="note") == "none"
        assert await agent.ask("forget size", skill="note") == "False"
        agent.caller = "tester"
        assert [await agent.ask("forget size", skill="note") for _ in range(2)] == ["True", "False"]
        assert SESSIONS_URI in {extension.uri for extension in agent.card.capabilities.extensions}


async def test_notes_may_be_shared(folder: Path) -> None:
    """A note says whose words it has."""
    async with trial(_remembering(folder, "memory: {notes: shared}")) as agent:
        await agent.ask("put size large", skill="note")
        agent.caller = "ann"
        assert await agent.ask("get size", skill="note") == "large (tester)"


async def test_notes_are_bounded(folder: Path) -> None:
    """In their form, and in number; nothing is kept of what is refused."""
    async with trial(folder) as agent:
        for wrong in ("put ../x text", "put Size text", f"put long {'x' * 4_001}", "put empty "):
            with pytest.raises(InvalidNote):
                await agent.ask(wrong, skill="note")
        for number in range(64):
            await agent.ask(f"put n{number} x", skill="note")
        with pytest.raises(NotesFull, match="64 notes already"):
            await agent.ask("put more x", skill="note")
        assert await agent.ask("get more", skill="note") == "none"


async def test_a_conversation_is_its_callers(folder: Path) -> None:
    """What was appended is there in the next request of the same caller and contextId, and in no other."""
    async with trial(folder) as agent:
        assert await agent.ask("one", skill="talk", context_id="c") == ""
        assert await agent.ask("two", skill="talk", context_id="c") == "caller: one | agent: you said one"
        assert await agent.ask("three", skill="talk", context_id="other") == ""
        assert await agent.ask("one two", skill="find", context_id="c") == "you said two | two"
        assert await agent.ask("nowhere", skill="find", context_id="c") == ""
        agent.caller = "ann"
        assert await agent.ask("four", skill="talk", context_id="c") == ""


async def test_a_run_takes_the_place_of_the_one_before(folder: Path) -> None:
    """What stands before a question runs again, and is remembered once."""
    async with trial(folder) as agent:
        assert await agent.ask("shirt", skill="order", replies=["large"], context_id="c") == "shirt large"
        assert await agent.ask("shirt large", skill="find", context_id="c") == "large | shirt"


async def test_a_contextid_that_cannot_be_kept_is_the_callers_fault(folder: Path) -> None:
    """It is refused before anything is stored."""
    async with trial(folder) as agent:
        with pytest.raises(InvalidArgument, match="shorter contextId"):
            await agent.ask("one", skill="talk", context_id="c" * 5_000)


async def test_who_does_not_remember_is_told_what_to_write(folder: Path) -> None:
    """Without the section nothing is kept, and its card promises nothing."""
    async with trial(_remembering(folder, "")) as agent:
        for skill, text in (
            ("note", "put a b"),
            ("note", "list -"),
            ("note", "forget a"),
            ("talk", "x"),
            ("order", "x"),
        ):
            with pytest.raises(NotRemembering, match=r"ctx\.memory is for handlers"):
                await agent.ask(text, skill=skill)
        assert SESSIONS_URI not in {extension.uri for extension in agent.card.capabilities.extensions}


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        ("memory: {context_window_size: 5000}", "is about what a model is told; with 'handler' memory takes notes and"),
        ("memory: {sesion_ttl_s: 60}", "session_ttl_s"),
    ],
)
def test_keys_that_change_nothing_are_refused(folder: Path, section: str, problem: str) -> None:
    """What is about models does not count for a handler."""
    with pytest.raises(InvalidDocument, match=problem):
        load_agent(_remembering(folder, section))


def test_a_router_remembers_nothing(tmp_path: Path) -> None:
    """It passes on."""
    file = "agent: {id: probe, description: d}\nrouting: {strategy: capability}\nmemory: {}\n"
    (tmp_path / "agent.yaml").write_text(file)
    with pytest.raises(InvalidDocument, match="a router keeps nothing"):
        load_agent(tmp_path)
