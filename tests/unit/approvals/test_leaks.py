"""Secrets in added lines are found, and what only looks like them is let pass."""

from __future__ import annotations

import base64
import random
import string
from pathlib import Path

import nkeys
import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.change.leaks import secret_in

ROOT = Path(__file__).parents[3]
LETTERS = string.ascii_letters + string.digits


def made_up(length: int, seed: int = 7, letters: str = LETTERS) -> str:
    """Random text as a provider makes a key of it; no key stands in this file."""
    return "".join(random.Random(seed).choices(letters, k=length))


SECRETS = {
    "a private key": "-----BEGIN OPENSSH " + "PRIVATE KEY-----",
    "a NATS seed": nkeys.encode_seed(bytes(range(32)), nkeys.PREFIX_BYTE_USER).decode(),
    "an AWS key": "AKIA" + made_up(16, letters=string.ascii_uppercase + string.digits),
    "a GitHub token": "ghp_" + made_up(36),
    "a GitLab token": "glpat-" + made_up(20),
    "a model provider's key": "sk-ant-api03-" + made_up(60),
    "a Google key": "AIza" + made_up(35),
    "a Slack token": "xoxb-" + made_up(30),
    "a Stripe key": "sk_live_" + made_up(24),
    "an npm token": "npm_" + made_up(36),
    "a Hugging Face token": "hf_" + made_up(34),
    "a signed token (JWT)": "eyJ" + made_up(20) + ".eyJ" + made_up(40) + "." + made_up(43),
    "a password in an address": "postgres://app:" + made_up(12) + "@db.internal/app",
}
ASSIGNMENTS = (
    ("handler.py", 'API_KEY = "{}"'),
    ("handler.py", 'config = {{"client_secret": "{}"}}'),
    ("handler.py", "self.auth_token: str = '{}'"),
    ("handler.py", 'headers["Authorization"] = "{}"'),
    ("agent.yaml", "  db_password: {}"),
    ("settings.toml", "token = '{}'"),
)
HARMLESS = (
    ("agent.yaml", "    api_key: env:ANTHROPIC_API_KEY_2"),
    ("agent.yaml", "    api_key: credential:provider-key-2026-01"),
    ("handler.py", 'API_KEY = os.environ["PROVIDER_API_KEY_1"]'),
    ("handler.py", 'token = "your-api-key-goes-here-2024"'),
    ("handler.py", 'SECRET_NAME = "projects/1234567/secrets/main"'),
    ("handler.py", "max_tokens = 4096000000000000000"),
    ("handler.py", 'password_hint = "ask your administrator"'),
    ("handler.py", "tokens = tokenizer.encode_plus_12345678(text)"),
    ("handler.py", 'COMMIT = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"'),
    ("README.md", "Send it to https://example.com:8443/path and wait for the token."),
    ("README.md", "postgres://username:password@host/db"),
    ("README.md", "risk-assessment-of-the-year-2026-and-later"),
)


def told(path: str, line: str) -> str:
    """What is said of a file to which this line is added."""
    return secret_in({path: b"first\n"}, {path: f"first\n{line}\n".encode()})


@pytest.mark.parametrize("what", SECRETS)
def test_a_key_is_known_by_its_form(what: str) -> None:
    """Wherever it stands, a key of a known form is found; the sentence says where and does not repeat it."""
    for line in (SECRETS[what], f"x = '{SECRETS[what]}'  # mine", f"key: {SECRETS[what]}"):
        said = told("notes.txt", line)
        assert said.startswith(f"notes.txt line 2 seems to hold {what};")
        assert SECRETS[what] not in said


@pytest.mark.parametrize(("path", "form"), ASSIGNMENTS)
@pytest.mark.parametrize(
    "value", [made_up(32), base64.b64encode(bytes(range(60, 90))).decode(), made_up(40, 3, "0123456789abcdef")]
)
def test_random_text_under_a_telling_name_is_found(path: str, form: str, value: str) -> None:
    """Base64, hexadecimal and plain random values of names such as token and password."""
    said = told(path, form.format(value))
    assert said.startswith(f"{path} line 2 seems to hold the value of ")
    assert value not in said


@pytest.mark.parametrize(("path", "line"), HARMLESS)
def test_what_is_no_secret_passes(path: str, line: str) -> None:
    """References, words, versions, ids of commits and names that only resemble."""
    assert told(path, line) == ""


def test_this_repository_has_none_but_its_tests_keys() -> None:
    """Of some fifty thousand lines of code, documents and configuration not one is refused by mistake."""
    files = [
        path
        for folder in ("schemas", "bus", "approvals", "agents", "nats", "systemd")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".py", ".md", ".yaml", ".json", ".conf", ".service"}
    ]
    after = {str(path.relative_to(ROOT)): path.read_bytes() for path in files}
    assert sum(content.count(b"\n") for content in after.values()) > 20_000
    assert secret_in({}, after) == ""


def test_a_line_that_was_there_is_not_looked_at() -> None:
    """Only what is added counts: an old secret is not this proposal's doing, and taking it away is welcome."""
    secret = f"{SECRETS['a GitHub token']}\n".encode()
    assert secret_in({"a.py": secret}, {"a.py": b"x = 1\n" + secret}) == ""
    assert secret_in({"a.py": secret}, {"a.py": b""}) == ""
    assert secret_in({"a.py": secret}, {"a.py": None}) == ""
    assert secret_in({"a.py": secret}, {"a.py": secret * 2}) != ""


@pytest.mark.parametrize(
    "piece", ["a", "secret", "secret=", 'secret="', "-eyJ", "eyJaaaaaaaaaa.", "sk-", "a://b:", " ", "api_key:\t", "'"]
)
def test_no_line_costs_more_than_its_length(piece: str) -> None:
    """A quarter of a megabyte without a line's end is looked through at once; with the square of it, it would hang."""
    content = (piece * (1 << 18))[: 1 << 18].encode()
    secret_in({}, {"a.yaml": content, "a.py": content})


@given(st.text(), st.text())
def test_any_text_is_taken(before: str, after: str) -> None:
    """Whatever the bytes are, there is an answer, and nothing is found in what did not change."""
    old, new = before.encode("utf-8", "surrogatepass"), after.encode("utf-8", "surrogatepass")
    assert isinstance(secret_in({"a.txt": old}, {"a.txt": new}), str)
    assert secret_in({"a.txt": new}, {"a.txt": new}) == ""
