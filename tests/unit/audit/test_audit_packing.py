"""How events lie in messages: nothing is lost, changed or moved by packing them."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.audit.packing import PACK_FROM, packed, unpacked
from bus.audit.writing.spool import Entry
from schemas.audit import BATCH_MEDIA_TYPE, CLOUDEVENTS_MEDIA_TYPE, digest
from schemas.names import MAX_AUDIT_EVENT_BYTES

domains = st.sampled_from(["request", "task"])
texts = st.text(max_size=40) | st.integers(1, 60_000).map("x".__mul__)


def entry(counter: int, domain: str, text: str) -> Entry:
    data = msgspec.json.encode({"sequence": counter, "text": text})
    return Entry(counter, 0, f"audit.agent.greeter.0.{domain}", digest(data), data)


@settings(max_examples=100, deadline=None)
@given(what=st.lists(st.tuples(domains, texts), min_size=1, max_size=90))
def test_what_is_packed_comes_out_as_it_went_in(what: list[tuple[str, str]]) -> None:
    """Every event once, in order, byte for byte, on its own subject, in a message that the stream takes."""
    batch = [entry(counter, domain, text) for counter, (domain, text) in enumerate(what, 1)]
    messages = packed(batch)
    assert [event for message in messages for event in unpacked(message.payload)] == [one.data for one in batch]
    assert [message.subject for message in messages for _ in range(message.events)] == [one.subject for one in batch]
    assert all(message.digest == digest(message.payload) for message in messages)
    assert all(len(message.payload) < MAX_AUDIT_EVENT_BYTES for message in messages)


@pytest.mark.parametrize("count", [1, PACK_FROM - 1, PACK_FROM, 500])
def test_few_events_are_a_message_each(count: int) -> None:
    """What a plain tool shows is one event, until a producer has much to say."""
    messages = packed([entry(counter, "request", "x") for counter in range(1, count + 1)])
    is_packed = count >= PACK_FROM
    assert (len(messages) < count) == is_packed
    assert {message.media_type for message in messages} == {BATCH_MEDIA_TYPE if is_packed else CLOUDEVENTS_MEDIA_TYPE}


@pytest.mark.parametrize(
    "payload",
    [b"", b"[]", b"[", b"[1, 2]", b" [1,2]", b"[1,2]\n", b"[1,2", b"[1,2]]", b"\xff", b"[" * 100_000, b"[1,]"],
)
def test_what_we_do_not_write_is_one_event(payload: bytes) -> None:
    """Another spelling of the same array is not taken for it: its bytes are not those that were signed."""
    assert list(unpacked(payload)) == [payload]
