"""A2A objects on the wire: what is sent can be read, and what real clients send can be read too."""

from __future__ import annotations

import json
import types
import typing
from typing import Any, Literal, get_args, get_origin

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from msgspec import UNSET, UnsetType

from schemas import a2a
from schemas.errors import InvalidArgument
from schemas.protojson import decode, encode

TYPES = a2a.A2AObject.__subclasses__()
ONE_OF: dict[type[Any], tuple[str, ...]] = {
    a2a.Part: ("text", "raw", "url", "data"),
    a2a.StreamResponse: ("task", "message", "status_update", "artifact_update"),
    a2a.SendMessageResponse: ("task", "message"),
}
"""Types of which exactly one of these fields is set."""
SCALARS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    SCALARS | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text("a_B", max_size=4), inner, max_size=2),
    max_leaves=4,
)
PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(max_size=8),
    bytes: st.binary(max_size=8),
    bool: st.booleans(),
    int: st.integers(0, 9),
    types.NoneType: st.none(),
}


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a field's type."""
    if isinstance(kind, type) and issubclass(kind, a2a.A2AObject):
        return objects(kind)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is tuple:
        return st.lists(values(arguments[0]), max_size=2).map(tuple)
    if origin in {typing.Union, types.UnionType}:
        return st.one_of([values(option) for option in arguments if option is not UnsetType])
    if origin is dict:
        return st.dictionaries(st.text("a_B", max_size=4), values(arguments[1]), max_size=2)
    return PLAIN.get(kind, JSON)


def objects(kind: type[Any]) -> st.SearchStrategy[Any]:
    """Every object of an A2A type, with exactly one field set where the type says so."""
    hints = typing.get_type_hints(kind)
    if kind in {a2a.StreamResponse, a2a.SendMessageResponse}:
        hints = {name: get_args(hint)[0] for name, hint in hints.items()}  # the one that is set is not None
    required = {field.name for field in msgspec.structs.fields(kind) if field.required}

    def of(fields: set[str], sure: set[str]) -> st.SearchStrategy[Any]:
        parts = {name: st.deferred(lambda name=name: values(hints[name])) for name in fields}  # type: ignore[misc]
        return st.fixed_dictionaries(
            {name: part for name, part in parts.items() if name in sure},
            optional={name: part for name, part in parts.items() if name not in sure},
        ).map(lambda given: kind(**given))

    choices = ONE_OF.get(kind)
    if choices is None:
        return of(set(hints), required)
    others = set(hints) - set(choices)
    return st.one_of([of(others | {name}, required | {name}) for name in choices])


ANY = st.sampled_from(TYPES).flatmap(objects)
thorough = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def as_a_real_client(value: Any) -> Any:
    """The same object with snake_case names, with nulls for what is absent, and with a field nobody knows."""
    if isinstance(value, tuple):
        return [as_a_real_client(item) for item in value]
    if not isinstance(value, a2a.A2AObject):
        return None if value is UNSET else msgspec.to_builtins(value)
    fields = {
        field.name: None if got == field.default and got != "" else as_a_real_client(got)
        for field, got in ((f, getattr(value, f.name)) for f in msgspec.structs.fields(value))
    }
    return {**fields, "unknown_field": {"nested_key": [1]}}


@thorough
@given(ANY)
def test_every_object_survives_the_wire(value: a2a.A2AObject) -> None:
    """decode(encode(x)) == x for every type of the protocol."""
    assert decode(encode(value), type(value)) == value


@thorough
@given(ANY)
def test_what_real_clients_send_is_the_same_object(value: a2a.A2AObject) -> None:
    """snake_case names, explicit nulls and unknown fields change nothing."""
    sent = json.dumps(as_a_real_client(value)).encode()
    assert decode(sent, type(value)) == value


@thorough
@given(ANY)
def test_what_is_sent_matches_the_published_schema(value: a2a.A2AObject) -> None:
    """The JSON Schema of a type accepts each of its objects."""
    Draft202012Validator(msgspec.json.schema(type(value))).validate(json.loads(encode(value)))


@pytest.mark.parametrize("kind", TYPES)
def test_every_type_has_examples(kind: type[a2a.A2AObject]) -> None:
    """The properties above are about all types: each can be made and read back."""
    found: list[a2a.A2AObject] = []

    @settings(max_examples=3, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(objects(kind))
    def look(value: a2a.A2AObject) -> None:
        found.append(decode(encode(value), kind))

    look()
    assert found
    assert all(type(value) is kind for value in found)


def test_output_is_camel_case_without_defaults() -> None:
    """What is sent has the protocol's names and leaves out what is default."""
    message = a2a.Message(message_id="m", role="ROLE_USER", parts=(a2a.Part(text="x", media_type="text/plain"),))
    expected = {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": "x", "mediaType": "text/plain"}]}
    assert json.loads(encode(message)) == expected


@pytest.mark.parametrize("key", ["data", "metadata"])
def test_the_users_own_content_is_not_renamed(key: str) -> None:
    """Keys and nulls below `data` and `metadata` stay exactly as they were sent."""
    content = {"snake_case": {"inner_key": None, "data": None}, "list": [{"a_b": None}]}
    part = {key: content} if key == "data" else {"text": "x", key: content}
    sent = {"message_id": "m", "role": "ROLE_USER", "parts": [part]}
    message = decode(json.dumps(sent).encode(), a2a.Message)
    assert getattr(message.parts[0], key) == content


def test_a_data_part_may_be_null() -> None:
    """null is a value of a data part, and absence beside a text."""
    assert decode(b'{"data":null}', a2a.Part).data is None
    assert decode(b'{"text":null,"raw":null,"url":null,"data":null}', a2a.Part).data is None
    assert decode(b'{"text":"x","raw":null,"url":null,"data":null}', a2a.Part) == a2a.Part(text="x")


GOOD = {"message": {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": "x"}]}}


@pytest.mark.parametrize(
    ("change", "field", "what"),
    [
        ({"role": "user"}, "message.role", "Invalid enum value"),
        ({"parts": [{"text": "x"}, {"text": 5}]}, "message.parts[1].text", "Expected `str`"),
        ({"parts": [{"text": "x", "url": "y"}]}, "message.parts[0]", "exactly one of text"),
        ({"parts": [{}]}, "message.parts[0]", "exactly one of text"),
        ({"parts": [{"text": "x", "media_type": 5}]}, "message.parts[0].mediaType", "Expected `str`"),
        ({"parts": "x"}, "message.parts", "Expected `array`"),
        ({"messageId": None}, "message", "missing required field `messageId`"),
    ],
)
def test_a_violation_names_the_field_by_its_path(change: dict[str, Any], field: str, what: str) -> None:
    """The caller learns which field is wrong, in the document's own notation."""
    sent = json.dumps({"message": GOOD["message"] | change}).encode()
    with pytest.raises(InvalidArgument) as refused:
        decode(sent, a2a.SendMessageRequest)
    (violation,) = refused.value.violations
    assert violation.field == field
    assert what in violation.description


@pytest.mark.parametrize(
    "sent",
    [b"", b"{", b"nul", b'{"id":"\xff"}', b'"x"', b"[]", b'{"id":1}{', b'{"x_y":' + b"[" * 100_000, b'{"\\ud800":1}'],
)
def test_bytes_that_are_no_such_object_are_the_callers_fault(sent: bytes) -> None:
    """Not JSON, not UTF-8, nested without end, or another form: always InvalidArgument."""
    with pytest.raises(InvalidArgument):
        decode(sent, a2a.GetTaskRequest)
