"""Text of others is shown harmless."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.text import harmless, harmless_name


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J", r"\x1b[2J"),
        ("a\rb", r"a\x0db"),
        ("a\nb", r"a\x0ab"),
        ("\x00\x07\x7f", r"\x00\x07\x7f"),
        ("\x9b31m", r"\x9b31m"),
        ("\u202eevil", r"\u202eevil"),
        ("\u2066x\u2069", r"\u2066x\u2069"),
        ("a\u200bb\ufeff", r"a\u200bb\ufeff"),
        ("a\u2028b\u2029", r"a\u2028b\u2029"),
        ("x\ufe0f", r"x\ufe0f"),
        ("\u3164\u2800", r"\u3164\u2800"),
        ("\U000e0041", r"\U000e0041"),
        ("\ud800", r"\ud800"),
        ("\ue000", r"\ue000"),
    ],
)
def test_what_acts_on_a_terminal_or_cannot_be_seen_is_spelt_out(text: str, shown: str) -> None:
    """Control, ANSI, bidirectional, zero-width, line-breaking, tag, private and half characters are visible."""
    assert harmless(text) == shown


@given(st.text())
def test_what_is_shown_can_be_seen(text: str) -> None:
    """Every character of the result is printable or a space of some script."""
    assert all(char.isprintable() or unicodedata.category(char) == "Zs" for char in harmless(text))


@given(st.text())
def test_showing_twice_is_showing_once(text: str) -> None:
    """What is harmless already stays as it is."""
    assert harmless(harmless(text)) == harmless(text)


@pytest.mark.parametrize("text", ["", "plain", "Grüße, 世界", "naïve\u00a0text", "a\\b", "e\u0301"])
def test_plain_text_of_any_script_stays(text: str) -> None:
    """Letters, marks and spaces of all scripts are not touched."""
    assert harmless(text) == text


@given(st.text(st.characters() | st.sampled_from(" \u00a0\u2003\u3000")))
def test_a_name_has_plain_spaces_alone(text: str) -> None:
    """Every other space of it is spelt out, and what is printable in `harmless` stays."""
    assert harmless_name(text).isprintable()
    assert harmless_name(text) == harmless(text) or not harmless(text).isprintable()


def test_characters_to_keep_stay() -> None:
    """Text of many lines keeps its lines, and nothing else."""
    assert harmless("a\n\tb\x1b", keep="\n\t") == "a\n\tb\\x1b"
