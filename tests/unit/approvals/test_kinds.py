"""The kind of a change follows from what it changes; nobody can understate it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.home import EXAMPLE
from approvals.change.kinds import AGENT_FILE, BY_SECTION, kind_of
from schemas.agent import AgentFile
from schemas.approvals import Kind
from schemas.errors import InvalidDocument

GREETER = (EXAMPLE / "agents/greeter/agent.yaml").read_text()
PRECEDENCE: tuple[Kind, ...] = ("code", "tool", "model", "budget", "prompt", "config")
EDITS: dict[Kind, tuple[str, str]] = {
    "code": ("llm:", "handler: handler.py:x\nllm:"),
    "tool": ("tools: [propose_change]", "tools: []"),
    "model": ("gpt-5-mini", "gpt-5"),
    "budget": ("tools:", "limits: {max_concurrent: 1000}\ntools:"),
    "prompt": ("Style: friendly", "Style: formal"),
    "config": ("description: Greets people", "description: Greets everybody"),
}


def edited(*kinds: Kind) -> str:
    """The greeter's file with an edit of each of these kinds."""
    text = GREETER
    for kind in kinds:
        old, new = EDITS[kind]
        assert text.count(old) == 1
        text = text.replace(old, new)
    return text


@pytest.mark.parametrize("kind", EDITS)
def test_each_section_has_its_kind(kind: Kind) -> None:
    """A change of one section of agent.yaml is of that section's kind."""
    assert kind_of({AGENT_FILE: GREETER.encode()}, {AGENT_FILE: edited(kind).encode()}) == kind


def test_every_section_has_a_row() -> None:
    """Whoever adds a section to the agent's file decides how sensitive a change of it is."""
    assert set(AgentFile.model_fields) <= {section[0] for section in BY_SECTION}


def test_a_server_that_is_started_is_code() -> None:
    """`mcp` names programs, which run with the agent's rights."""
    after = f"{GREETER}\nmcp: {{files: {{command: sh}}}}\n".encode()
    assert kind_of({AGENT_FILE: GREETER.encode()}, {AGENT_FILE: after}) == "code"


def test_a_section_without_a_row_is_code() -> None:
    """What nobody thought of is judged as the most sensitive kind."""
    after = f"{GREETER}\nsomething_new: 1\n".encode()
    assert kind_of({AGENT_FILE: GREETER.encode()}, {AGENT_FILE: after}) == "code"


@given(st.sets(st.sampled_from(PRECEDENCE), min_size=1))
def test_the_most_sensitive_kind_holds(kinds: set[Kind]) -> None:
    """Mixing in harmless changes never lowers the kind."""
    ordered = [kind for kind in PRECEDENCE if kind in kinds]
    assert kind_of({AGENT_FILE: GREETER.encode()}, {AGENT_FILE: edited(*ordered).encode()}) == ordered[0]


@pytest.mark.parametrize(
    ("path", "before", "after", "kind"),
    [
        ("handler.py", b"a", b"b", "code"),
        ("handler.py", None, b"b", "code"),
        ("handler.py", b"a", None, "code"),
        ("tool.sh", None, b"x", "code"),
        ("no-suffix", None, b"x", "code"),
        ("data.json", None, b"{}", "code"),
        ("sub/agent.yaml", None, b"x: 1", "code"),
        ("prompt.md", b"a", b"b", "prompt"),
        ("notes.txt", None, b"b", "prompt"),
        ("notes.md.py", None, b"b", "code"),
    ],
)
def test_files_beside_agent_yaml(path: str, before: bytes | None, after: bytes | None, kind: Kind) -> None:
    """Text is a prompt; whatever is not known to be text is code."""
    assert kind_of({path: before}, {path: after}) == kind
    assert (
        kind_of({path: before, AGENT_FILE: GREETER.encode()}, {path: after, AGENT_FILE: edited("config").encode()})
        == kind
    )


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        ("handler: a.py:x", "# c\nhandler:   a.py:x", "config"),
        ("llm: {pool: [1], system_prompt: p}", "llm: null", "model"),
        ("llm: {pool: [1], system_prompt: p}", "", "model"),
        ("llm: null", "llm: {system_prompt: p}", "prompt"),
        ("llm: {request_timeout_s: 1}", "llm: {request_timeout_s: 2}", "model"),
        ("llm: {pool: &a [1]}", "llm: {pool: &a [1], system_prompt: *a}", "prompt"),
        ("x: 1", "x: 1\n? handler\n: a.py:x", "code"),
        ("x: 1", '"handl\\x65r": a.py:x', "code"),
        ("x: &y {handler: a}", "x: &y {handler: a}\n<<: *y", "code"),
    ],
)
def test_the_spelling_in_yaml_does_not_matter(before: str, after: str, kind: Kind) -> None:
    """What counts is what the file means: comments, merges, escapes and removed sections are seen through."""
    assert kind_of({AGENT_FILE: before.encode()}, {AGENT_FILE: after.encode()}) == kind


@pytest.mark.parametrize("text", [b"a: [", b"[1]", b"x", b"a: 2024-13-45", b"\xff", b"[" * 5000])
def test_an_agent_file_that_cannot_be_read_is_refused(text: bytes) -> None:
    """No kind is guessed."""
    with pytest.raises(InvalidDocument, match=r"agent\.yaml"):
        kind_of({AGENT_FILE: GREETER.encode()}, {AGENT_FILE: text})


TOML = b"""\
handler = "handler.py:x"
[agent]
id = "a"
description = "d"
"""
YAML = b"agent: {id: a, description: d}\nhandler: handler.py:x\n"


def test_the_language_of_the_file_makes_no_difference() -> None:
    """What is written anew in TOML is a change of its text alone; what differs in it is a change of that kind."""
    assert kind_of({AGENT_FILE: YAML, "agent.toml": None}, {AGENT_FILE: None, "agent.toml": TOML}) == "config"
    other = TOML.replace(b"handler.py:x", b"handler.py:y")
    assert kind_of({AGENT_FILE: YAML, "agent.toml": None}, {AGENT_FILE: None, "agent.toml": other}) == "code"
    assert kind_of({"agent.toml": TOML}, {"agent.toml": other}) == "code"


def test_what_came_from_a_prompts_file_is_a_prompt_still() -> None:
    """Moving the prompt out of the file, and changing it there, need the same reviewers as changing it in the file."""
    inside = b"agent: {id: a, description: d}\nllm: {system_prompt: p, pool: [{provider: offline}]}\n"
    outside = inside.replace(b"system_prompt: p", b"prompt_file: prompt.md")
    assert kind_of({AGENT_FILE: inside, "prompt.md": None}, {AGENT_FILE: outside, "prompt.md": b"q\n"}) == "prompt"
