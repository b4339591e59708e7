"""Places in texts, and what fills them."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.errors import InvalidDocument
from schemas.filling import Value, filled, filled_value, places_in

VALUES = {
    "a": Value("text of a"),
    "judge": Value("{}", {"points": 7, "why": {"short": "too long"}}),
    "b": Value("{{a}}"),
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("no places", "no places"),
        ("{{a}}, {{ a }}", "text of a, text of a"),
        ("{{judge.points}}/10: {{judge.why.short}}", "7/10: too long"),
        ("{{judge.why}}", '{"short":"too long"}'),
        ("<{{later?}}{{judge.none?}}>", "<>"),
        ("{{b}}", "{{a}}"),
        ("{a} {{{a}}}", "{a} {text of a}"),
    ],
)
def test_places_are_filled_once(template: str, text: str) -> None:
    """What is filled in is not looked at again: a text with braces of its own changes nothing."""
    assert filled(template, VALUES) == text


@pytest.mark.parametrize("template", ["{{later}}", "{{judge.none}}", "{{a.field}}", "{{judge.points.more}}"])
def test_what_is_not_there_is_named(template: str) -> None:
    """A missing value is an error where the place does not say that it may be missing."""
    with pytest.raises(InvalidDocument, match=r"no value yet|nothing called"):
        filled(template, VALUES)


@pytest.mark.parametrize("template", ["{{", "{{A}}", "{{a b}}", "{{a|upper}}", "{{a.}}", "{{__class__}}", "{{a[0]}}"])
def test_braces_that_are_no_place_are_refused(template: str) -> None:
    """There is nothing to call and nothing to reach into: names and fields alone."""
    with pytest.raises(InvalidDocument, match="is no place to fill"):
        places_in(template)


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ({"n": "{{judge.points}}", "t": "n = {{judge.points}}"}, {"n": 7, "t": "n = 7"}),
        (["{{judge.why}}", 5, None, {"x": ["{{a}}"]}], [{"short": "too long"}, 5, None, {"x": ["text of a"]}]),
        ("{{later?}}", ""),
    ],
)
def test_data_keeps_its_kinds(template: Any, value: Any) -> None:
    """A text that is one place becomes the value itself, a number a number."""
    assert filled_value(template, VALUES) == value
