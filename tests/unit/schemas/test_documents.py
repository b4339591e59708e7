"""Files of people: refused with everything that is wrong, where, and what to write instead."""

from __future__ import annotations

import pytest

from agents.home import EXAMPLE
from schemas.agent import AgentFile
from schemas.documents import Document, load_yaml, parse_written, parse_yaml, read_text
from schemas.errors import InvalidDocument
from schemas.fleet import Fleet
from schemas.names import RESERVED
from schemas.policy import Policy

AGENT = """\
agent: {id: greeter, description: d}
handler: handler.py:answer
"""
LLM = """\
agent: {id: greeter, description: d}
llm:
  system_prompt: p
  pool: [{provider: openai, model: m, api_key: KEY}]
"""
FLEET = "{name: f, agents: {a: {}, b: {asks: [a]}}, operators: [ops], reviewers: {ann: {}}, auditors: [aud]}"
POLICY = "{version: '1', rules: [{paths: ['agents/**']}]}"
KINDS: dict[str, type[Document]] = {"agent.yaml": AgentFile, "fleet.yaml": Fleet, "policy.yaml": Policy}
GOOD = {"agent.yaml": AGENT, "fleet.yaml": FLEET, "policy.yaml": POLICY}


def refusal(text: str, where: str) -> str:
    """What is said of `text`; fails when it is accepted."""
    with pytest.raises(InvalidDocument) as refused:
        parse_yaml(text, KINDS[where], where)
    return str(refused.value)


@pytest.mark.parametrize("where", GOOD)
def test_the_good_documents_are_good(where: str) -> None:
    """The documents that the tests below break are accepted as they are."""
    assert parse_yaml(GOOD[where], KINDS[where], where)


@pytest.mark.parametrize("path", sorted(EXAMPLE.rglob("*.yaml")), ids=lambda path: str(path.relative_to(EXAMPLE)))
def test_the_example_is_good(path: object) -> None:
    """Every file of the example fleet is accepted."""
    file = EXAMPLE / str(path)
    assert parse_yaml(file.read_text(), KINDS[file.name], file.name)


@pytest.mark.parametrize(
    ("where", "good", "bad", "said"),
    [
        # unknown keys are answered with the nearest right one
        ("agent.yaml", "handler:", "hander:", "agent.yaml:2: hander: unknown key; did you mean 'handler'?"),
        ("agent.yaml", "description", "descripton", "agent.yaml:1: agent.descripton: unknown key; did you mean 'description'?"),
        ("agent.yaml", "handler:", "zzz: 1\nhandler:", "zzz: unknown key; known are agent, budget, canary, extensions, handl"),
        ("fleet.yaml", "asks", "ask", "agents.b.ask: unknown key; did you mean 'asks'?"),
        ("policy.yaml", "paths", "path", "rules.0.path: unknown key; did you mean 'paths'?"),
        # agent files
        ("agent.yaml", "handler.py:answer", "/etc/x.py:answer", "handler: write FILE.py:NAME"),
        ("agent.yaml", "handler.py:answer", "../x.py:answer", "handler: write FILE.py:NAME"),
        ("agent.yaml", "handler: handler.py:answer", "", "exactly one of 'handler', 'llm' and 'routing'"),
        ("agent.yaml", "handler:", "llm: {system_prompt: p, pool: [{provider: offline}]}\nhandler:", "exactly one of"),
        ("agent.yaml", "id: greeter", "id: Greeter", "agent.id: String should match pattern"),
        ("agent.yaml", "id: greeter", 'id: "greeter\\n"', "agent.id: String should match pattern"),
        ("agent.yaml", "id: greeter", f"id: {'a' * 26}", "agent.id: String should match pattern"),
        ("agent.yaml", "id: greeter, ", "", "agent.id: is missing"),
        ("agent.yaml", "handler:", "tools: [shell]\nhandler:", "tools: there is no tool 'shell'; there are: ask_agent, bash"),
        ("agent.yaml", "handler:", "limits: {max_concurrent: 0}\nhandler:", "limits.max_concurrent: Input should be gr"),
        ("agent.yaml", "handler:", "extensions: [{uri: 'a:b,c'}]\nhandler:", "extensions.0.uri: String should match"),
        ("agent.yaml", "handler:", "extensions: [{uri: nothing}]\nhandler:", "extensions.0.uri: String should match"),
        ("agent.yaml", "handler:", "extensions: [{uri: 'urn:agentbus:x'}]\nhandler:", "extensions.0.uri: urn:agentbus:"),
        ("agent.yaml", "handler:", "extensions: [{uri: 'a:b'}, {uri: 'a:b'}]\nhandler:", "extension is listed twice"),
        ("agent.yaml", "handler:", "extensions: [{uri: 'a:b', params: {x: 2026-01-01}}]\nhandler:", "params"),
        # fleet files
        ("fleet.yaml", "asks: [a]", "asks: [nobody]", "agents.b.asks names agents that are not in the fleet: nobody"),
        ("fleet.yaml", "[ops]", "[a]", "used twice: a"),
        ("fleet.yaml", "{ann: {}}", "{ops: {}}", "used twice: ops"),
        ("fleet.yaml", "[aud]", "[aud, aud]", "used twice: aud"),
        ("fleet.yaml", "name: f,", "", "name: is missing"),
        ("fleet.yaml", "{a: {}", "{a.b: {}, a: {}", "String should match pattern"),
        ("fleet.yaml", "{a: {}", "{a: {storage_mb: 0}", "agents.a.storage_mb: Input should be greater"),
        # policies
        ("policy.yaml", "['agents/**']", "[]", "rules.0.paths: Tuple should have at least 1 item"),
        ("policy.yaml", "['agents/**']", "[x], quorum: 0", "rules.0.quorum: Input should be greater"),
        ("policy.yaml", "['agents/**']", "[x], kinds: [wish]", "rules.0.kinds.0: Input should be 'config'"),
        ("policy.yaml", "version: '1'", "version: ''", "version: String should have at least 1 character"),
        ("policy.yaml", "version", "decide_within_s: 1, version", "decide_within_s: Input should be greater"),
    ],
)  # fmt: skip
def test_a_mistake_is_answered_with_advice(where: str, good: str, bad: str, said: str) -> None:
    """The message names the file, the key and the way out."""
    assert good in GOOD[where]
    message = refusal(GOOD[where].replace(good, bad), where)
    assert said in message
    assert all(line.startswith(f"{where}:") for line in message.splitlines())


def test_all_problems_are_named_at_once() -> None:
    """Nobody has to run a command four times to learn of four mistakes."""
    lines = refusal("agent: {id: X, versoin: 1.0.0}\nheartbeat_interval_s: -1\nhandler: h.py:x\n", "agent.yaml")
    for mistake in ("agent.id", "agent.description: is missing", "agent.versoin: unknown key", "heartbeat_interval_s"):
        assert mistake in lines
    assert len(lines.splitlines()) == 4


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_names_of_the_product_are_not_for_others(name: str) -> None:
    """An agent, an operator or a reviewer that is called like a component is refused."""
    fleet = FLEET.replace("b: {asks: [a]}", "b: {}")
    for good, bad in (("a: {}", f"{name}: {{}}"), ("ops", name), ("ann", name), ("aud]", f"{name}]")):
        assert f"belong to the product itself: {name}" in refusal(fleet.replace(good, bad, 1), "fleet.yaml")


@pytest.mark.parametrize("key", ["sk-abc123", "ghp_abc", "AKIAIOSFODNN7EXAMPLE", "a" * 40])
def test_a_literal_key_is_refused_and_not_repeated(key: str) -> None:
    """A secret in a file is refused with advice, and does not come back in the message."""
    message = refusal(LLM.replace("KEY", key), "agent.yaml")
    assert "looks like a secret; write env:NAME, file:PATH or credential:NAME" in message
    assert key not in message


@pytest.mark.parametrize("reference", ["env:OPENAI_API_KEY", "file:/run/key", "credential:openai"])
def test_a_reference_to_a_key_is_accepted(reference: str) -> None:
    """A key is named by where it lies."""
    parsed = parse_yaml(LLM.replace("KEY", f'"{reference}"'), AgentFile, "agent.yaml")
    assert parsed.llm is not None
    assert parsed.llm.pool[0].api_key == reference


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [*a]", "a: &a {b: *a}", "[" * 70 + "]" * 70, "a: [1", "a: b: c", "\x00", "? [a]\n: b", "a: 2024-13-45", f"a: {'1' * 5000}", "a: !!int ''", "a: !!bool maybe",
        "a: !!timestamp x", "a: !!float x", "a: !!python/object:os.system {}", "[" * 5000,
    ],
)  # fmt: skip
def test_what_is_not_yaml_is_refused_as_such(text: str) -> None:
    """No text makes reading fail in another way: an agent's author may be an attacker."""
    with pytest.raises(InvalidDocument, match=r"x\.yaml(:\d+)?: not YAML"):
        load_yaml(text, "x.yaml")


@pytest.mark.parametrize("text", ["", "null", "5", "[1]", "text", "a: &a [*a]"])
@pytest.mark.parametrize("where", KINDS)
def test_yaml_of_another_form_is_refused(where: str, text: str) -> None:
    """Nothing, a number, a list and an endless list are no documents."""
    assert where in refusal(text, where)


def test_a_document_cannot_be_changed_after_it_was_read() -> None:
    """What was checked is what is used."""
    policy = parse_yaml(POLICY, Policy, "policy.yaml")
    with pytest.raises(ValueError, match="frozen"):
        policy.version = "2"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb:\n  c: 1\n  d: 1\n  c: 2", "x.yaml:5: c: this key stands in line 3 already; keep one"),
        ("a: 1\n'a': 2", "x.yaml:2: a: this key stands in line 1 already; keep one"),
        ("a: &a {b: 1, b: 2}", "x.yaml:1: b: this key stands in line 1 already; keep one"),
        ("\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}' if n else '1'] * 10)}]" for n in range(9)), "values; aliases"),
        ("\n".join(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9 if n else [])}], b: 1}}" for n in range(9)), "alias"),
    ],
)  # fmt: skip
def test_what_two_readers_could_read_in_two_ways_is_refused(text: str, said: str) -> None:
    """A key that stands twice hides one of its values from whoever reviews the file; aliases make a small file huge."""
    with pytest.raises(InvalidDocument) as refused:
        load_yaml(text, "x.yaml")
    assert said in str(refused.value)


def test_merged_mappings_are_read_as_yaml_says() -> None:
    """What a mapping says itself counts before what it takes over; that is no key that stands twice."""
    assert load_yaml("a: &a {b: 1, c: 2}\nd: {<<: *a, b: 3}", "x.yaml")["d"] == {"b": 3, "c": 2}


TOML_AGENT = """\
heartbeat_interval_s = 0

[agent]
id = "greeter"
description = '''
id = "X"
'''
versoin = "1.0.0"

[[agent.skills]]
id = "greet"
name = "Greet"
description = "d"

[[agent.skills]]
id = "b c"
name = "n"
description = "d"

[llm]
system_prompt = "p"
pool = [{provider = "opnai"}]
"""


def test_toml_is_read_too_and_its_mistakes_have_lines() -> None:
    """Tables, entries of arrays of tables, keys: each with its line; what lies in a line's braces has that line."""
    with pytest.raises(InvalidDocument) as refused:
        parse_written(read_text(TOML_AGENT, "agent.toml"), AgentFile)
    places = [(problem.line, problem.key) for problem in refused.value.problems]
    assert places == [
        (1, "heartbeat_interval_s"), (8, "agent.versoin"), (16, "agent.skills.1.id"), (22, "llm.pool.0.provider"),
    ]  # fmt: skip
    assert str(refused.value).splitlines()[3].endswith("did you mean 'openai'?")


@pytest.mark.parametrize(("text", "line"), [("a = 1\na = 2", 2), ("a = [", 1), ("[a]\n\n[a]", 3)])
def test_what_is_not_toml_is_refused_as_such(text: str, line: int) -> None:
    """A key that stands twice is none, in TOML itself."""
    with pytest.raises(InvalidDocument, match="not TOML") as refused:
        read_text(text, "x.toml")
    assert refused.value.problems[0].line == line


def test_of_several_forms_only_that_of_the_value_is_spoken_of() -> None:
    """A value that may be a list or a mapping, and is a mapping with a mistake in it, is not told to be a list."""

    class Entry(Document):
        size: int = 1

    class Either(Document):
        things: tuple[str, ...] | dict[str, Entry] = ()

    with pytest.raises(InvalidDocument) as refused:
        parse_yaml("things:\n  a:\n    sise: 3\n", Either, "x.yaml")
    assert str(refused.value) == "x.yaml:3: things.a.sise: unknown key; did you mean 'size'?"
