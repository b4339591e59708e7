"""The `mcp` section of an agent's file: both of its forms, and no secret in it."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.agent.mcp import Mcp, servers_of_file
from schemas.documents import parse_value
from schemas.errors import InvalidDocument

CHILD = {"command": "server", "tools": ["read"]}
DIGEST = "sha256:" + "0" * 64
TOKEN = "ghp_" + "a1B2" * 9


def one(**changes: Any) -> Mcp:
    """A section with one server."""
    return parse_value({"files": {**CHILD, **changes}}, Mcp, "mcp")


@pytest.mark.parametrize(
    "value",
    [
        {"files": CHILD},
        {"mcpServers": {"files": CHILD}},
    ],
    ids=["by name", "as others write it"],
)
def test_servers_are_written_in_two_ways(value: Any) -> None:
    """Both mean the same."""
    assert parse_value(value, Mcp, "mcp") == one()


def test_a_file_is_named_by_a_text() -> None:
    """`mcp: mcp.json`, which lies in the agent's folder and nowhere else."""
    assert Mcp.model_validate("mcp.json").file == "mcp.json"
    for elsewhere in ("../mcp.json", "/etc/mcp.json", "a/b.json", "mcp.yaml"):
        with pytest.raises(InvalidDocument, match="lies beside"):
            parse_value(elsewhere, Mcp, "mcp")


def test_a_file_of_another_program_is_honoured() -> None:
    """What only other programs know is left out; what they may do unasked is not taken over."""
    value = {"mcpServers": {"files": {**CHILD, "type": "stdio", "autoApprove": ["read"], "description": "files"}}}
    (server,) = parse_value(servers_of_file(value), Mcp, "mcp.json").servers.values()
    assert (server.command, server.read_only) == ("server", ())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"url": "https://a.example"}, "exactly one of 'command' and 'url'"),
        ({"command": None}, "exactly one of 'command' and 'url'"),
        ({"headers": {"A": "b"}}, "'headers' go with 'url'"),
        ({"command": None, "url": "https://a.example", "args": ["x"]}, "'args' and 'env' go with 'command'"),
        ({"timeout": 3}, "files.timeout: unknown key; did you mean 'timeout_s'?"),
        ({"type": "sse"}, "Input should be 'stdio'"),
        ({"read_only": ["write"]}, "read_only names 'write', which is not in 'tools'"),
        ({"needs_approval": ["write"]}, "needs_approval names 'write'"),
        ({"pins": {"read": "abc"}}, "should match pattern"),
        ({"args": ["${HOME}"]}, "what is reviewed is what runs"),
        ({"command": None, "url": "https://${HOST}/"}, "what is reviewed is what runs"),
        ({"env": {"A B": "x"}}, "no name of a variable"),
        ({"env": {"A": "x\ny"}}, "more than one line"),
        ({"command": None, "url": "http://a.example/mcp"}, "can be read on the way"),
        ({"command": None, "url": "ftp://a.example/mcp"}, "write https://"),
        ({"command": None, "url": "https://me:pass@a.example/mcp"}, "no secrets in an address"),
        ({"command": None, "url": f"https://a.example/mcp?token={TOKEN}"}, "no secrets in an address"),
    ],
)
def test_what_is_wrong_is_said(changes: dict[str, Any], said: str) -> None:
    """Each mistake is refused with advice."""
    with pytest.raises(InvalidDocument, match=said.replace("?", r"\?")):
        one(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"args": ["--token", "abcdefgh"]},
        {"args": [f"x={TOKEN}"]},
        {"env": {"GITHUB_TOKEN": "abcdefgh"}},
        {"env": {"ANYTHING": TOKEN}},
        {"env": {"GITHUB_TOKEN": "abcdefgh${X}"}},
        {"command": None, "url": "https://a.example", "headers": {"Authorization": "Bearer abcdefgh"}},
        {"command": None, "url": "https://a.example", "headers": {"X-API-Key": "abcdefgh"}},
    ],
    ids=str,
)
def test_a_secret_is_never_a_value(changes: dict[str, Any]) -> None:
    """A literal that is a secret by its form or its name is refused, and not repeated in the refusal."""
    with pytest.raises(InvalidDocument) as refused:
        one(**changes)
    assert "abcdefgh" not in str(refused.value)
    assert TOKEN not in str(refused.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"env": {"GITHUB_TOKEN": "env:GITHUB_TOKEN", "MODE": "quick", "OTHER_KEY": "${A_KEY}", "LEVEL": "${LEVEL:-3}"}},
        {
            "command": None,
            "url": "https://a.example",
            "headers": {"Authorization": "Bearer env:TOKEN", "X-Api-Key": "file:/k"},
        },
        {"command": None, "url": "http://127.0.0.1:8000/mcp"},
        {"command": None, "url": "http://[::1]:8000/mcp"},
        {"command": None, "url": "http://mcp.internal/mcp", "plain_http": "allow"},
        {"tools": ["*"], "read_only": ["read"], "pins": {"read": DIGEST}},
    ],
    ids=str,
)
def test_what_is_right_is_accepted(changes: dict[str, Any]) -> None:
    """References, variables, and addresses that nobody can listen to."""
    assert one(**changes)


@pytest.mark.parametrize("name", ["a__b", "_a", "a_", "a b", "a.b", "", "x" * 33])
def test_names_of_servers_can_be_read_one_way_only(name: str) -> None:
    """A name with `__` in it could stand for another server's tool."""
    with pytest.raises(InvalidDocument):
        parse_value({name: CHILD}, Mcp, "mcp")
