"""Values under names of secrets, and keys of known forms, are masked wherever they stand; plain texts are left alone."""

from __future__ import annotations

import base64
import json
import urllib.parse
from collections.abc import Callable
from typing import Any

import nkeys
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.masking import (
    MAX_DEPTH,
    MAX_ITEMS,
    MAX_LOOKED_AT,
    NOT_KEPT,
    masked,
    masked_text,
    masked_texts,
    names_a_secret,
)
from schemas.redaction import REDACTED

LETTERS = "QXZJ73"
"""Stand in secrets alone: none of them may be left."""
bare = st.text(LETTERS + "+/=_-.,;&'\"{}[]()\\:#@!$%", min_size=1, max_size=30).map(lambda text: "Q" + text)
"""As it stands behind `=`: without spaces."""
quotable = st.text(LETTERS + " +/=_-.,;&'\"{}[]()\\:#@!$%\n\t", min_size=1, max_size=30)
names = st.sampled_from(
    ["password", "db_password", "PGPASSWORD", "api_key", "apiKey", "x-api-key", "API_KEY_2", "token", "accessToken",
     "client_secret", "aws_secret_access_key", "passphrase", "private-key", "nkey.seed", "Cookie", "Authorization"]
)  # fmt: skip
plain = st.sampled_from(["", "400: ", "the server said ", "a.b(", '{"id": 1} '])
BARE: dict[str, Callable[[str, str], str]] = {
    "an assignment": lambda name, value: f"{name}={value} end",
    "a spaced one": lambda name, value: f"{name} := {value} end",
    "a line": lambda name, value: f"{name}: {value}\nend",
    "the next line": lambda name, value: f"{name}:\n  {value}\nend",
    "a YAML block": lambda name, value: f"{name}: |\n  {value}\nend",
    "a typed one": lambda name, value: f"{name}: str = {value} end",
    "an option": lambda name, value: f"run --{name} {value} end",
    "an option with =": lambda name, value: f"run --{name}={value} end",
    "a query": lambda name, value: f"https://host/?a=b&{name}={urllib.parse.quote(value)}&c=d end",
    "an element": lambda name, value: f"<{name}>{value}</{name}> end",
    "a bearer": lambda name, value: f"Authorization: Bearer {value}\nend",
    "a curl": lambda name, value: f"curl -H 'Proxy-Authorization: Basic {value}'\nend",
    "cookies": lambda name, value: f"Set-Cookie: a={value}; b={value}\nend",
    "a digest": lambda name, value: f'Authorization: Digest username="{value}", response="{value}"\nend',
}
QUOTED: dict[str, Callable[[str, str], str]] = {
    "JSON": lambda name, value: json.dumps({"id": 1, name: value, "end": 2}),
    "dense JSON": lambda name, value: json.dumps({"id": 1, name: value, "end": 2}, separators=(",", ":")),
    "JSON in JSON": lambda name, value: json.dumps({"body": json.dumps({name: value, "end": 2})}),
    "JSON in JSON in JSON": lambda name, value: json.dumps([json.dumps({"body": json.dumps({name: value})})]),
    "a dictionary": lambda name, value: repr({"id": 1, name: value, "end": 2}),
    "bytes": lambda name, value: repr({name.encode(): value.encode()}),
    "pairs": lambda name, value: repr([("id", "1"), (name, value)]),
    "an item": lambda name, value: f"headers[{name!r}] = {value!r}; end",
    "SQL": lambda name, value: f"{name} = '{value.replace(chr(39), chr(39) * 2).replace(chr(92), '/')}' end",
    "nested JSON": lambda name, value: json.dumps({name: {"value": value, "more": [value]}}),
    "one without an end": lambda name, value: json.dumps({name: value})[:-2],
}
KEYS = {
    "NATS": nkeys.encode_seed(bytes(range(32)), nkeys.PREFIX_BYTE_USER).decode(),
    "a provider": "sk-ant-api03-" + "Q7x" * 20,
    "an address": "nats://app:Q7x3Z9w1@host:4222",
    "a token": "eyJ" + "Q7x" * 8 + ".eyJ" + "Q7x" * 8 + "." + "Q7x" * 8,
    "a private key": "-----BEGIN " + "PRIVATE KEY-----\nQ7xZ9\nQ7xZ9\n-----END " + "PRIVATE KEY-----",
    "half of one": "-----BEGIN " + "PRIVATE KEY-----\nQ7xZ9\nQ7xZ9",
    "a bearer": "Bearer Q7x3Z9w1",
}


def left(text: str) -> set[str]:
    """What is left of a secret."""
    return set(text) & set(LETTERS)


@settings(max_examples=200)
@given(form=st.sampled_from([*BARE]), name=names, value=bare, before=plain)
def test_nothing_is_left_of_a_value(form: str, name: str, value: str, before: str) -> None:
    """However it is written behind the name, and whatever it is; what is masked is not masked again."""
    text = masked_text(before + BARE[form](name, value))
    assert not left(text)
    assert REDACTED in text
    assert text.startswith(before)
    assert masked_text(text) == text


@settings(max_examples=200)
@given(form=st.sampled_from([*QUOTED]), name=names, value=quotable, before=plain)
def test_nothing_is_left_of_a_quoted_value(form: str, name: str, value: str, before: str) -> None:
    """Whatever quotes, escapes, brackets and lines are in it, at every depth of JSON in a text."""
    assert not left(masked_text(before + QUOTED[form](name, value)))


@given(
    form=st.sampled_from([*BARE, *QUOTED]), name=names, value=bare, before=st.binary(max_size=5), is_safe=st.booleans()
)
def test_base64_of_it_is_masked(form: str, name: str, value: str, before: bytes, is_safe: bool) -> None:
    """A name and its value, encoded together with what is around them, at any offset."""
    plain_text = (BARE | QUOTED)[form](name, value).encode()
    encoded = (base64.urlsafe_b64encode if is_safe else base64.b64encode)(before + plain_text).decode()
    assert masked_text(f"it said {encoded} to us") == f"it said {REDACTED} to us"


@pytest.mark.parametrize("what", KEYS)
def test_a_key_of_a_known_form_is_masked(what: str) -> None:
    """Under any name and under none, plain and, where it has a name, encoded."""
    for text in (f"refused: {KEYS[what]}", f"user={KEYS[what]}", json.dumps({"note": f"see {KEYS[what]}"})):
        assert REDACTED in masked_text(text)
        assert "Q7x" not in masked_text(text)
        assert KEYS["NATS"] not in masked_text(text)


@given(name=names, value=quotable)
def test_a_value_in_the_next_text_is_masked(name: str, value: str) -> None:
    """The name ends one text, the value is the next that is not empty; what comes then is left."""
    assert masked_texts(["a", f"{name}: ", "", value, "end"]) == ["a", f"{name}: ", "", REDACTED, "end"]
    assert masked_texts(["Authorization: Bearer", value, "end"])[1:] == [REDACTED, "end"]
    assert masked([f"--{name}", value, "end"]) == [f"--{name}", REDACTED, "end"]
    assert masked({"headers": ((name, value), ("id", 1))}) == {"headers": ((name, REDACTED), ("id", 1))}


@given(
    name=names,
    value=st.one_of(quotable, st.integers(), st.lists(quotable)),
    path=st.lists(st.sampled_from(["key", "list", "tuple", "text", "object"]), max_size=MAX_DEPTH - 2),
)
def test_a_value_is_masked_whatever_it_is_nested_in(name: str, value: Any, path: list[str]) -> None:
    """In mappings, lists, tuples and what is no plain value; what is beside it stays."""
    around: dict[str, Callable[[Any], Any]] = {
        "key": lambda inner: {"inner": inner, "id": 1},
        "list": lambda inner: [1, inner],
        "tuple": lambda inner: ("a", inner),
        "text": lambda inner: {"text": f"{name}=Q", "inner": inner},
        "object": lambda inner: [ValueError(f"{name}=Q"), inner],
    }
    nested, wanted = {name: value, "id": 1}, {name: REDACTED, "id": 1}
    for step in path:
        nested, wanted = around[step](nested), masked(around[step](wanted))
    assert masked(nested) == wanted
    assert not left(repr(wanted))


def test_nesting_is_bounded() -> None:
    """What is deeper, or behind many others, is not kept: a value that refers to itself ends."""
    endless: list[Any] = []
    endless.append(endless)
    assert repr(masked(endless)).count("[") == MAX_DEPTH + 1
    many = masked({"a": list(range(2 * MAX_ITEMS)), "password": "Q", "b": "x"})
    assert len(many["a"]) <= MAX_ITEMS
    assert many["a"][-1] == NOT_KEPT
    assert not left(repr(many["a"][0]) + repr(many.get("password")))
    long = masked_text(f"token=Q {'a ' * MAX_LOOKED_AT} Q")
    assert (len(long) <= MAX_LOOKED_AT + len(NOT_KEPT + REDACTED), left(long), long.endswith(NOT_KEPT)) == (
        True,
        set(),
        True,
    )


HARMLESS = (
    "the token has expired", "tokens: 512", "input_tokens=3", "max_tokens: 4096", "password", "a secret agent:", "key=1",
    "keys: a, b", "seeds: 3", "reseed=1", "basic authentication failed", "bearer token is missing", "secretary: Bob",
    "a.b(c=1)", '{"id": 1, "key": "x"}', "ab" * 32, "01KABCDEFGHJKMNPQRSTVWXYZ0.12", "a2a.v1.req.textstats.ops.SendMessage",
    "550e8400-e29b-41d4-a716-446655440000", "https://example.com:8443/a/b?c=d", "2026-11-28T18:22:50.123Z", "1.2.3",
    "/var/lib/agentbus/state/spool.01KABCDEFGHJKMNPQRSTVWXYZ0", "INVALID_ARGUMENT: message.parts[0].url is not", "π=3",
    "Grüße: ärger", "application/cloudevents-batch+json", "textstats/task-123456789",
)  # fmt: skip


@given(texts=st.lists(st.sampled_from(HARMLESS), max_size=8), other=st.text(max_size=14))
def test_plain_texts_are_left_as_they_are(texts: list[str], other: str) -> None:
    """Words that only look so, counts of tokens, digests, ids, addresses, and short texts of anything."""
    joined = " | ".join(texts)
    assert masked_text(joined) == joined
    if not any(part in other.lower() for part in ("pwd", "token", "key", "seed", "passw", "secret", "cookie")):
        assert masked_text(other) is other
    assert masked({"a": joined, "b": [{"c": joined}, 1, 2.5, None, True]}) == {
        "a": joined, "b": [{"c": joined}, 1, 2.5, None, True]
    }  # fmt: skip


@pytest.mark.parametrize(
    "name",
    ["password", "db_password", "API_KEY", "apiKey", "Authorization", "x-api-key", "token", "clientSecret", "nkey_seed",
     "AWS_SECRET_ACCESS_KEY", "PGPASSWORD", "Set-Cookie", "api_key_2"],
)  # fmt: skip
def test_names_of_secrets(name: str) -> None:
    """What stands under them is never shown."""
    assert names_a_secret(name)


@pytest.mark.parametrize("name", ["input_tokens", "output_tokens", "key", "sequence", "tokens", "passwords_changed"])
def test_names_that_only_look_so(name: str) -> None:
    """Counting tokens is no secret."""
    assert not names_a_secret(name)
