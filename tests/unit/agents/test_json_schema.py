"""JSON Schemas of an agent's file: refused when they cannot be used, and applied without fetching anything."""

from __future__ import annotations

import pytest

from schemas.agent import AgentFile
from schemas.documents import parse_yaml
from schemas.errors import InvalidDocument
from schemas.json_schema import JsonSchema

TREE = {
    "$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}, "required": ["name"]}},
    "$ref": "#/$defs/node",
}


def test_every_violation_has_its_path() -> None:
    """The path goes on from where the value stands in its message."""
    schema = JsonSchema({"type": "object", "properties": {"n": {"type": "array", "items": {"type": "integer"}}}})
    wrong = schema.violations({"n": [1, "2", None]}, "message.parts[0].data")
    assert [violation.field for violation in wrong] == ["message.parts[0].data.n[1]", "message.parts[0].data.n[2]"]
    assert schema.violations({"n": [1, 2]}, "x") == ()


def test_a_schema_may_refer_to_itself() -> None:
    """Definitions of the schema's own are found."""
    schema = JsonSchema(TREE)
    assert schema.violations({"name": "a", "next": {"name": "b"}}, "x") == ()
    assert [violation.field for violation in schema.violations({"name": "a", "next": {}}, "x")] == ["x.next"]


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"type": "thing"}, "not a JSON Schema"),
        ({"properties": {"a": {"minimum": "1"}}}, "not a JSON Schema"),
        ({"$ref": "http://127.0.0.1:1/x.json"}, "nothing is fetched"),
        ({"prefixItems": [{"$ref": "file:///etc/passwd"}]}, "nothing is fetched"),
        ({"$ref": "#/$defs/missing"}, "nothing is fetched"),
    ],
)
def test_a_schema_that_cannot_be_used_is_refused_when_it_is_read(schema: dict[str, object], reason: str) -> None:
    """Not when the first message comes."""
    with pytest.raises(InvalidDocument, match=reason):
        JsonSchema(schema)


@pytest.mark.parametrize(
    ("answers", "skill", "reason"),
    [
        ("handler: a.py:b", "input: {type: object}", "come from its signature"),
        ("llm: {system_prompt: x, pool: [{provider: offline}]}", "output: {type: thing}", "not a JSON Schema"),
    ],
)
def test_an_agents_file_says_what_is_wrong_with_its_schemas(answers: str, skill: str, reason: str) -> None:
    """`agentbus agent validate` and the start of the agent both read it so."""
    text = (
        f"agent:\n  id: a\n  description: d\n  skills:\n    - {{id: s, name: S, description: d, {skill}}}\n{answers}\n"
    )
    with pytest.raises(InvalidDocument, match=reason):
        parse_yaml(text, AgentFile, "agent.yaml")
