"""The stand-in where JSON of a schema is asked for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agents.llm.providers.offline_form import in_form
from agents.runtime.loading.declared import Declared
from schemas.agent import SkillText
from schemas.json_schema import JsonSchema


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"points": {"type": "integer", "maximum": 10}, "why": {"type": "string"}}},
        {"type": "object", "properties": {"a": {"enum": ["x", "y"]}, "b": {"const": 5}, "c": {"type": "boolean"}}},
        {"type": "array", "items": {"type": "number", "minimum": 3}, "minItems": 2},
        {"type": "object", "properties": {"a": {"anyOf": [{"type": "null"}, {"type": "string"}]}}},
        {"type": "object", "properties": {"t": {"type": "string", "minLength": 60, "maxLength": 70}}},
    ],
)
def test_it_gives_a_value_of_the_form(schema: dict[str, Any]) -> None:
    """As the prompt of a skill with an output asks for it, whatever stands behind that."""
    skill = SkillText(id="s", name="s", description="s", output=schema)
    said = in_form(f"You judge.\n\n{Declared(skill).instruction}\n\nTexts between lines …")
    assert said is not None
    assert JsonSchema(schema).violations(json.loads(said), "data") == ()


@pytest.mark.parametrize("prompt", ["", "You judge.", "It must match this JSON Schema:\nnothing"])
def test_without_a_schema_it_says_nothing(prompt: str) -> None:
    """Then it answers as ever."""
    assert in_form(prompt) is None
