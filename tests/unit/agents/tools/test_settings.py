"""The section `tools` of an agent's file."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import Field

from schemas.agent import HttpSettings, Tools, ToolSettings
from schemas.agent.tool_settings import host_matches
from schemas.agent.tools import or_names
from schemas.documents import Document, parse_value
from schemas.errors import InvalidDocument
from schemas.json_schema import JsonSchema


class Sample(Document):
    """A file with the section."""

    tools: Tools = Field(json_schema_extra=or_names)


def read(value: object) -> Tools:
    """The section as the file has it."""
    return parse_value({"tools": value}, Sample, "agent.yaml").tools


def test_a_list_of_names_is_a_mapping_without_settings() -> None:
    """Both forms say the same."""
    assert read(["read", "tools.py:look"]) == read({"read": None, "tools.py:look": {}})
    assert list(read(["bash", "acme-weather:forecast"]).named) == ["bash", "acme-weather:forecast"]
    assert not Tools()
    assert Tools.of("read")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (["bahs"], "there is no tool 'bahs'; did you mean 'bash'?"),
        ({"serch": {}}, "there is no tool 'serch'"),
        (["bash", "bash"], "'bash' is listed twice"),
        ([{"bash": {}}], "a tool with settings stands in a mapping"),
        ("bash", "write a list of names"),
        ({"bash": {"timeout": 5}}, "did you mean 'timeout_s'?"),
        ({"tools.py:look": {"memory_mb": 5}}, "memory_mb: unknown key; known are approval"),
        (["../x.py:look"], "there is no tool '../x.py:look'"),
        ({"read": {"arguments": {"path": {"must": {"type": "nothing"}}}}}, "not a JSON Schema"),
        (["http_request"], "http_request needs a setting, so write a mapping: http_request: {hosts: […]}"),
        ({"http_request": {}}, "tools.http_request.hosts: is missing"),
        ({"http_request": {"hosts": ["https://x.example"]}}, "is no host"),
        ({"http_request": {"hosts": ["x.example"], "allow_private": ["10.0.0.1"]}}, "no address with a port"),
        ({"http_request": {"hosts": ["x.example"], "headers": {"y.example": {"A": "b"}}}}, "is not in hosts"),
        ({"http_request": {"hosts": ["x.example"], "headers": {"x.example": {"A\nB": "b"}}}}, "no header of one line"),
        ({"http_request": {"hosts": ["x.example"], "headers": {"x.example": {"A": "b\r\nC: d"}}}}, "no header"),
        ({"read": {"cache_s": 0}}, "tools.read.cache_s: "),
        ({"web_search": {"api_key": "0123456789abcdef"}}, "never the key itself"),
    ],
)
def test_what_is_wrong_is_refused_with_advice(value: object, said: str) -> None:
    """Each mistake is named with what would be right."""
    with pytest.raises(InvalidDocument) as refusal:
        read(value)
    assert said in str(refusal.value)


@pytest.mark.parametrize(
    "header",
    [
        {"Authorization": "Bearer abcdefgh12345678"},
        {"X-Api-Key": "abcdefgh"},
        {"Cookie": "session=abcdefgh12345678"},
        {"X-Other": "sk-abcdefghijklmnopqrstuvwx123456"},
    ],
)
def test_secrets_stand_in_no_file(header: dict[str, str]) -> None:
    """A header with a secret is a reference."""
    with pytest.raises(InvalidDocument, match="looks like a secret") as refusal:
        read({"http_request": {"hosts": ["x.example"], "headers": {"x.example": header}}})
    assert next(iter(header.values())) not in str(refusal.value)
    referred = {name: f"Bearer env:{name.upper()}" for name in header}
    assert read({"http_request": {"hosts": ["x.example"], "headers": {"x.example": referred}}})


@pytest.mark.parametrize(
    ("pattern", "host", "is_for"),
    [
        ("a.example", "a.example", True),
        ("a.example", "a.example:443", True),
        ("a.example", "a.example:80", True),
        ("a.example", "a.example:8443", False),
        ("a.example:443", "a.example:8443", False),
        ("a.example:443", "a.example:443", True),
        ("a.example", "b.a.example", False),
        ("*.example", "a.example", True),
        ("*.example", "b.a.example:80", True),
        ("*.example", "example", False),
        ("*.example", "notexample", False),
        ("*.a.example", "xa.example", False),
    ],
)
def test_a_host_is_listed_or_not(pattern: str, host: str, *, is_for: bool) -> None:
    """A star is for what is below, and for nothing beside."""
    assert host_matches(pattern, host) == is_for


def test_the_published_schema_takes_both_forms() -> None:
    """Editors accept what the program accepts, and refuse unknown names."""
    schema = JsonSchema(Sample.model_json_schema())

    def problems(value: Any) -> int:
        return len(schema.violations({"tools": value}, ""))

    assert problems(["read", "tools.py:x"]) == 0
    assert problems({"read": {"max_bytes": 5}, "acme-weather:forecast": {"timeout_s": 2}}) == 0
    assert problems({"reed": {}}) > 0
    assert problems({"acme-weather:forecast": {"memory_mb": 2}}) > 0


def test_private_addresses_have_one_spelling() -> None:
    """So that they can be compared."""
    found = HttpSettings(hosts=("x.example",), allow_private=("127.0.0.1:080", "[0:0::1]:80"))
    assert found.allow_private == ("127.0.0.1:80", "[::1]:80")
    assert ToolSettings().approval == "never"
