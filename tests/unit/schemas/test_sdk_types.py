"""The objects of the protocol against those of the official SDK: the same names, and the same bytes both ways.

The samples are made from the SDK's own descriptors, so a field that a new release adds fails here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from a2a.types import a2a_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.json_format import MessageToJson, Parse
from google.protobuf.message import Message

from schemas import a2a
from schemas.protojson import decode, encode

MESSAGES: dict[str, Descriptor] = dict(a2a_pb2.DESCRIPTOR.message_types_by_name)
OWN: dict[str, type[a2a.A2AObject]] = {kind.__name__: kind for kind in a2a.A2AObject.__subclasses__()}
WELL_KNOWN: dict[str, str] = {
    "google.protobuf.Timestamp": '"2026-01-02T03:04:05.678Z"',
    "google.protobuf.Struct": '{"some_key": {"nested_key": [1, null, "x"]}}',
    "google.protobuf.Value": '[{"a_b": 1.5}, null, true]',
}
SCALARS: dict[int, Any] = {
    FieldDescriptor.TYPE_STRING: "täxt \U0001f600",
    FieldDescriptor.TYPE_BYTES: b"\x00\xff~",
    FieldDescriptor.TYPE_BOOL: True,
    FieldDescriptor.TYPE_INT32: 7,
}
DEEPEST = 4


def _groups(descriptor: Descriptor) -> list[list[str]]:
    """The fields of which one only can be set, group by group."""
    return [[field.name for field in group.fields] for group in descriptor.oneofs if not group.name.startswith("_")]


def _filled(descriptor: Descriptor, chosen: set[str], depth: int = 0) -> Message:
    """A message with every field set; of a group the `chosen` one, at the top, else the first."""
    message: Message = getattr(a2a_pb2, descriptor.name)()
    left_out = {name for group in _groups(descriptor) for name in group if name not in chosen}
    left_out -= {group[0] for group in _groups(descriptor) if not chosen & set(group)}
    for field in descriptor.fields:
        if field.name not in left_out:
            _set(message, field, depth)
    return message


def _set(message: Message, field: FieldDescriptor, depth: int) -> None:
    kind = field.message_type
    if kind is None:
        value = len(field.enum_type.values) - 1 if field.enum_type else SCALARS[field.type]
        getattr(message, field.name).extend([value, value]) if field.is_repeated else setattr(
            message, field.name, value
        )
    elif kind.GetOptions().map_entry:
        _set_entry(getattr(message, field.name), kind.fields_by_name["value"], depth)
    elif kind.full_name in WELL_KNOWN:
        Parse(WELL_KNOWN[kind.full_name], getattr(message, field.name))
    elif depth < DEEPEST:
        inner = _filled(kind, set(), depth + 1)
        getattr(message, field.name).extend([inner]) if field.is_repeated else getattr(message, field.name).CopyFrom(
            inner
        )


def _set_entry(entries: Any, value: FieldDescriptor, depth: int) -> None:
    if value.message_type is None:
        entries["some_key"] = SCALARS[value.type]
    else:
        entries["some_key"].CopyFrom(_filled(value.message_type, set(), depth + 1))


def _samples() -> Iterator[Any]:
    for name, descriptor in MESSAGES.items():
        choices = [choice for group in _groups(descriptor) for choice in group] or [""]
        for choice in choices:
            yield pytest.param(_filled(descriptor, {choice}), id=f"{name}-{choice}" if choice else name)


SAMPLES = list(_samples())


@pytest.mark.parametrize("name", MESSAGES)
def test_each_object_has_the_sdks_fields_and_no_other(name: str) -> None:
    """Every message of the SDK is an object of ours, field by field."""
    assert set(OWN[name].__struct_fields__) == {field.name for field in MESSAGES[name].fields}


def test_there_is_no_object_that_the_sdk_does_not_know() -> None:
    """What we send is part of the protocol; Empty is protobuf's own, the answer of a deletion."""
    assert set(OWN) - {"Empty"} == set(MESSAGES)


@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.parametrize("keeps_names", [False, True], ids=["camelCase", "snake_case"])
def test_what_the_sdk_sends_is_read_and_sent_back_the_same(sample: Message, keeps_names: bool) -> None:
    """SDK to bytes to ours to bytes to SDK: an equal message, with either spelling of the names."""
    sent = MessageToJson(sample, preserving_proto_field_name=keeps_names).encode()
    ours = decode(sent, OWN[sample.DESCRIPTOR.name])
    assert Parse(encode(ours), type(sample)()) == sample


@pytest.mark.parametrize("sample", SAMPLES)
def test_what_we_send_is_read_by_the_sdk_and_comes_back_the_same(sample: Message) -> None:
    """Ours to bytes to SDK to bytes to ours: an equal object."""
    kind = OWN[sample.DESCRIPTOR.name]
    ours = decode(MessageToJson(sample).encode(), kind)
    theirs = Parse(encode(ours), type(sample)())
    assert decode(MessageToJson(theirs).encode(), kind) == ours


@pytest.mark.parametrize("kind", OWN.values(), ids=OWN)
def test_what_is_left_out_is_protojsons_default(kind: type[a2a.A2AObject]) -> None:
    """A field with its default is not sent, so its default must be what every reader assumes: empty."""
    for field in msgspec.structs.fields(kind):
        default = None if field.default is msgspec.NODEFAULT else field.default
        made = None if field.default_factory is msgspec.NODEFAULT else field.default_factory()
        assert not default or default is msgspec.UNSET or isinstance(default, a2a.A2AObject), field.name
        assert not made or isinstance(made, a2a.A2AObject), field.name


@pytest.mark.parametrize("state", a2a_pb2.TaskState.keys()[1:])
def test_states_have_the_sdks_names(state: str) -> None:
    """Each task state of the SDK can be read and is written by its name."""
    status = decode(b'{"state": "%s"}' % state.encode(), a2a.TaskStatus)
    assert status.state == state
