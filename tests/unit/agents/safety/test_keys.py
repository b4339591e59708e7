"""A key that somebody pasted does not become part of a conversation."""

from __future__ import annotations

import pytest

from agents.safety.keys import without_keys

KEYS = {
    "a GitHub token": "ghp_" + "a1B2" * 9,
    "an AWS key": "AKIA" + "ABCD1234EFGH5678",
    "a model provider's key": "sk-" + "ant-api03-" + "x7" * 12,
    "a password in an address": "postgres://app:correcthorse@db.example/x",
}


@pytest.mark.parametrize(("what", "key"), KEYS.items(), ids=list(KEYS))
def test_a_key_is_replaced_by_what_it_was(what: str, key: str) -> None:
    """The model is told that there was one, and of what kind."""
    clean = without_keys(f"use {key} for it")
    assert key not in clean
    assert f"[{what}, removed]" in clean


def test_other_text_stays() -> None:
    """What has no such form is not touched."""
    text = "sk-learn and AKIA are names; a1B2c3 is not a key"
    assert without_keys(text) is text
