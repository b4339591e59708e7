"""Registered values are found however they are written, and nothing else is touched."""

from __future__ import annotations

import base64
import itertools
import urllib.parse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.redaction import REDACTED, SHORTEST, Secrets

VALUE = "sk-live/9+aB3xyz=Qq77"
values = st.text(st.characters(codec="ascii", min_codepoint=33), min_size=12, max_size=60)
around = st.binary(max_size=7)


def knowing(*values: str) -> Secrets:
    secrets = Secrets()
    for value in values:
        secrets.add(value)
    return secrets


SPELLINGS = {
    "as it stands": VALUE,
    "base64": base64.b64encode(VALUE.encode()).decode(),
    "base64 of a header": base64.b64encode(f"user:{VALUE}".encode()).decode(),
    "url-safe base64": base64.urlsafe_b64encode(f"x{VALUE}y".encode()).decode(),
    "hexadecimal": VALUE.encode().hex(),
    "percent-encoded": urllib.parse.quote(VALUE, safe=""),
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_a_value_is_taken_out_of_a_text(name: str) -> None:
    """The rest of the text stays."""
    (text,) = knowing(VALUE).redacted([f"401 for key {SPELLINGS[name]}, try again"])
    assert text.startswith("401 for key ")
    assert text.endswith(", try again")
    assert REDACTED in text
    assert VALUE[:SHORTEST] not in text


@given(value=values, before=around, after=around)
def test_base64_hides_nothing_at_any_offset(value: str, before: bytes, after: bytes) -> None:
    """Whatever stands before and after the value in what was encoded."""
    encoded = base64.b64encode(before + value.encode() + after).decode()
    assert REDACTED in knowing(value).redacted([encoded])[0]


@given(value=values, cuts=st.lists(st.integers(0, 60), max_size=3))
def test_pieces_over_texts_are_found(value: str, cuts: list[int]) -> None:
    """A value that is cut into texts which follow each other is in none of them afterwards, nor in all together."""
    places = sorted({min(cut, len(value)) for cut in cuts} | {0, len(value)})
    pieces = [value[begin:end] for begin, end in itertools.pairwise(places)]
    without = knowing(value).redacted(["reason: ", *pieces, " end"])
    assert value not in "".join(without)
    assert without[1 : len(pieces) + 1] == [REDACTED] * len(pieces)


@given(texts=st.lists(st.text(max_size=30), max_size=6))
def test_other_texts_are_left_as_they_are(texts: list[str]) -> None:
    """The same list comes back: nothing is copied for nothing."""
    assert knowing(VALUE).redacted(texts) is texts


def test_what_is_too_short_is_not_taken_for_a_secret() -> None:
    """A value that could be a word would make every text unreadable."""
    assert knowing("test").redacted(["a test"]) == ["a test"]
