"""What the agent's file says of one tool: what holds for any, and what some have besides."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Final, Literal, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from schemas.documents import Document
from schemas.json_schema import Declared
from schemas.masking import masked_texts, names_a_secret

from .addresses import require_address

HEADER_REFERENCE = re.compile(r"(?:(?P<scheme>[A-Za-z]+) )?(?P<reference>(?:env|file|credential):\S+)")
"""`credential:NAME`, or `Bearer credential:NAME`."""
_REFERENCE = re.compile(r"(env|file|credential):.+")
_HOST = re.compile(r"(\*\.)?[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*(:\d{1,5})?")
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_SHORTEST_SECRET = 8
_WEB_PORTS = ("443", "80")

Glob = Annotated[str, StringConstraints(min_length=1, max_length=500)]
Host = Annotated[str, StringConstraints(to_lower=True, max_length=260)]
Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


class Argument(Document):
    """What one argument of a tool may be. A value that is no text, nor a list of texts, fits no pattern."""

    allow: tuple[Glob, ...] = Field(
        (), description="patterns of which the text must match one; `*` and `?` end at a `/`, `**` does not"
    )
    deny: tuple[Glob, ...] = Field((), description="patterns of which the text may match none")
    must: Declared = Field({}, description="JSON Schema that the value must match, beside the tool's own")


class ToolSettings(Document):
    """Of any tool."""

    timeout_s: float | None = Field(
        None, gt=0, le=3600, description="how long a call may take; without it, resilience.tool_timeout_s"
    )
    max_result_chars: int = Field(20_000, ge=200, le=200_000, description="what the model is told of a result, at most")
    approval: Literal["never", "always"] = Field(
        "never", description="always: people decide about each call, and the task waits for them"
    )
    arguments: dict[str, Argument] = Field({}, description="what each argument may be, by its name")
    cache_s: float | None = Field(
        None, gt=0, le=86_400,
        description="how long a result answers the same call of the same caller in the same conversation; for tools without effects",
    )  # fmt: skip

    reflect: bool | Annotated[str, StringConstraints(min_length=3, max_length=500)] = Field(
        False,
        description="true: a model of the agent's judges whether each result is usable; or the question that it is asked",
    )

    @property
    def reflects(self) -> str:
        """The question; empty where nobody is asked."""
        return reflects(self.reflect)


REFLECT_ON: Final = "Does the result answer what the call was for?"


def reflects(setting: bool | str) -> str:  # noqa: FBT001  as the file has it
    """What a model is asked about each result of a tool with this setting; empty: nothing."""
    return setting if isinstance(setting, str) else REFLECT_ON * setting


class FileSettings(ToolSettings):
    """Of what reads and writes files in the agent's workspace."""

    max_bytes: int = Field(256 * 1024, ge=1, le=16 << 20, description="the longest file")


class WriteSettings(FileSettings):
    """Of what writes files in the agent's workspace."""

    max_workspace_bytes: int = Field(64 << 20, ge=1, le=1 << 40, description="all files of the workspace together")


class BashSettings(ToolSettings):
    """Of commands in the sandbox. They have no network."""

    timeout_s: float = Field(30.0, gt=0, le=3600, description="how long a command may take")
    memory_mb: int = Field(512, ge=16, le=1 << 20, description="memory of each process")
    processes: int = Field(32, ge=1, le=4096, description="processes at the same time")
    file_mb: int = Field(16, ge=1, le=1 << 20, description="the longest file that a command may write")
    max_workspace_bytes: int = Field(
        64 << 20, ge=1, le=1 << 40, description="with more than this in the workspace no command is begun"
    )


class WebSettings(ToolSettings):
    """Of tools that speak to servers."""

    allow_private: tuple[str, ...] = Field(
        (), description="ADDRESS:PORT, each a private or loopback address that may be reached all the same"
    )
    max_bytes: int = Field(1 << 20, ge=1, le=64 << 20, description="the longest answer")

    @field_validator("allow_private")
    @classmethod
    def _are_addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_address_and_port(text) for text in value)


class HttpSettings(WebSettings):
    """Of `http_request`. It reaches the hosts that are listed and no other."""

    hosts: tuple[Host, ...] = Field(
        min_length=1,
        description="hosts that may be reached, as `api.example.com`, `*.example.com`; another port is written `:PORT`",
    )
    methods: tuple[Method, ...] = Field(("GET", "HEAD"), min_length=1, description="methods that may be used")
    headers: dict[Host, dict[str, str]] = Field(
        {}, description="headers by host; secrets by reference, as `Bearer credential:NAME`. No other host gets them"
    )
    plain_http: Literal["refuse", "allow"] = Field(
        "refuse", description="whether http:// may be used for others than `allow_private`"
    )
    redirects: int = Field(3, ge=0, le=10, description="how many redirects are followed")
    redirects_to: Literal["same_host", "listed_hosts"] = Field("same_host", description="where they may lead")
    max_request_bytes: int = Field(256 * 1024, ge=0, le=16 << 20, description="the longest body that is sent")

    @field_validator("hosts")
    @classmethod
    def _are_hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for host in value:
            if not _HOST.fullmatch(host):
                raise ValueError(f"{host!r} is no host; write api.example.com, *.example.com or HOST:PORT")
        return value

    @field_validator("headers")
    @classmethod
    def _headers_are_safe(cls, value: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
        for host, headers in value.items():
            if not _HOST.fullmatch(host) or host.startswith("*"):
                raise ValueError(f"{host!r} is no host; headers belong to one host each")
            for name, text in headers.items():
                _require_header(name, text)
        return value

    @model_validator(mode="after")
    def _headers_are_of_listed_hosts(self) -> Self:
        for host in self.headers:
            if not any(host_matches(pattern, host) for pattern in self.hosts):
                raise ValueError(f"headers are for {host}, which is not in hosts")
        return self


class SearchSettings(WebSettings):
    """Of `web_search`: serper.dev, or a server that speaks as it does."""

    api_key: str | None = Field(None, description="a reference (env:NAME, file:PATH, credential:NAME), never a key")
    base_url: str = Field("https://google.serper.dev", description="another server that speaks the same protocol")
    results: int = Field(10, ge=1, le=50, description="how many results are told")

    @field_validator("api_key")
    @classmethod
    def _is_a_reference(cls, value: str | None) -> str | None:
        if value is not None and not _REFERENCE.fullmatch(value):
            raise ValueError("write env:NAME, file:PATH or credential:NAME, never the key itself")
        return value

    @field_validator("base_url")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        require_address(value)
        return value

    @model_validator(mode="after")
    def _has_what_its_server_takes(self) -> Self:
        if self.api_key is None and self.base_url == type(self).model_fields["base_url"].default:
            raise ValueError("serper.dev takes a key: api_key (env:NAME, file:PATH or credential:NAME)")
        return self


def host_matches(pattern: str, host: str) -> bool:
    """Whether `pattern` of a list of hosts is for `host`, `HOST` or `HOST:PORT`; without a port it is for 80 and 443."""
    wanted, _, port = pattern.partition(":")
    name, _, given = host.partition(":")
    if (given or _WEB_PORTS[0]) not in ((port,) if port else _WEB_PORTS):
        return False
    return name.endswith(wanted[1:]) and name != wanted[2:] if wanted.startswith("*.") else name == wanted


def _require_header(name: str, text: str) -> None:
    if not _TOKEN.fullmatch(name) or not text.isprintable() or not text.isascii():
        raise ValueError(f"{name!r} is no header of one line")
    if HEADER_REFERENCE.fullmatch(text):
        return
    if masked_texts([text]) != [text] or (names_a_secret(name) and len(text) >= _SHORTEST_SECRET):
        raise ValueError(f"the value of {name} looks like a secret; write env:NAME or credential:NAME instead")


def _address_and_port(text: str) -> str:
    """The same in one spelling, `[::1]:80` for IPv6."""
    host, _, port = text.rpartition(":")
    try:
        address = ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        raise ValueError(f"{text!r} is no address with a port; write 127.0.0.1:8080 or [::1]:8080") from None
    if not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise ValueError(f"{text!r} has no port; write 127.0.0.1:8080")
    return f"{address}:{int(port)}" if address.version == 4 else f"[{address}]:{int(port)}"
