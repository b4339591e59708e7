"""The MCP servers of an agent: how each is reached, and which of its tools the agent may use.

    mcp: mcp.json                        # a file in the agent's folder, as other programs have it; or
    mcp:
      files: {command: npx, args: [-y, some-server, .], tools: [read_file]}
      search: {url: "https://search.example/mcp", headers: {Authorization: "Bearer env:SEARCH_TOKEN"}, tools: ["*"]}

A secret is never a value here: it is a reference, or in `mcp.json` a variable of the environment. What is started or
called is written out: variables stand in `env` and `headers` alone, so that what was reviewed is what runs.

Source: the `mcpServers` of Claude Desktop, Cursor and VS Code; MCP 2025-11-25, Transports.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    StringConstraints,
    field_validator,
    model_validator,
)

from schemas.documents import Document
from schemas.masking import masked_texts
from schemas.refused_names import without_refused
from schemas.variables import is_secret_name

from .addresses import is_here, require_address
from .tool_settings import Argument

EVERY_TOOL = "*"
REFERENCE = re.compile(r"(?P<scheme>(?i:bearer|basic|token|apikey)[ ]+)?(?P<reference>(?:env|file|credential):\S+)")
"""A secret, with the scheme of an Authorization before it."""
VARIABLE = re.compile(r"\$\{([A-Za-z_]\w*)(?::-([^{}]*))?\}")
"""`${NAME}`, or `${NAME:-what stands there without it}`."""
MAX_SERVERS = 20
_SCHEME = re.compile(r"(bearer|basic|token|apikey)\s+", re.IGNORECASE)
_SHORTEST_SECRET = 8
_LONGEST_NAME = 32

_SERVER = re.compile(r"[A-Za-z0-9]+(?:[_-][A-Za-z0-9]+)*")
"""Without `__` and without `_` at its ends, so that `mcp__SERVER__TOOL` can be read one way only."""
ToolName = Annotated[str, StringConstraints(min_length=1, max_length=128)]
Pin = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]


class McpServer(Document):
    """One server: `command` starts it as a child of the agent, or `url` is where it answers."""

    type: Literal["stdio", "http", "streamable-http", "streamableHttp"] | None = Field(
        None, description="what other programs write here; `command` or `url` says it already"
    )
    command: str | None = Field(None, min_length=1, description="program to start; it runs in the agent's folder")
    args: tuple[str, ...] = Field((), description="its arguments; everybody on the machine can read them")
    env: dict[str, str] = Field(
        {}, description="its environment beside PATH, HOME and the like; secrets as references (env:NAME)"
    )
    url: str | None = Field(None, description="address of a streamable HTTP server")
    headers: dict[str, str] = Field({}, description="headers of each request; secrets as references (Bearer env:NAME)")
    plain_http: Literal["refuse", "allow"] = Field(
        "refuse", description="whether an http:// address beyond this machine may be used"
    )
    disabled: bool = Field(False, description="leave the server out")
    tools: tuple[ToolName, ...] = Field((), description='tools that the agent may use; ["*"]: all that it lists')
    read_only: tuple[ToolName, ...] = Field((), description="tools without effects; all others count as having some")
    needs_approval: tuple[ToolName, ...] = Field((), description="tools of which people decide each call")
    reflect: tuple[ToolName, ...] = Field(
        (), description="tools of whose results a model of the agent's judges whether they are usable"
    )
    cache_s: dict[ToolName, Annotated[float, Field(gt=0, le=86_400)]] = Field(
        {}, description="tools of `read_only` to how long a result answers the same call in the same conversation"
    )
    arguments: dict[ToolName, dict[str, Argument]] = Field(
        {}, description="tools to what each of their arguments may be, by its name"
    )
    max_result_chars: int = Field(20_000, ge=200, le=200_000, description="what the model is told of a result, at most")
    timeout_s: float = Field(30.0, gt=0, le=3600, description="how long a call may take")
    pins: dict[ToolName, Pin] = Field(
        {}, description="tools to the digest of their definition; a tool that has another is refused"
    )

    @model_validator(mode="after")
    def _one_way_to_reach_it(self) -> Self:
        if (self.command is None) == (self.url is None):
            raise ValueError("a server has exactly one of 'command' and 'url'")
        if self.command is None and (self.args or self.env):
            raise ValueError("'args' and 'env' go with 'command'; this server has a 'url'")
        if self.url is None and self.headers:
            raise ValueError("'headers' go with 'url'; this server has a 'command'")
        return self

    @model_validator(mode="after")
    def _what_is_said_of_tools_is_of_allowed_ones(self) -> Self:
        if EVERY_TOOL not in self.tools:
            for key in ("read_only", "needs_approval", "reflect", "arguments"):
                if beyond := sorted(set(getattr(self, key)) - set(self.tools)):
                    raise ValueError(f"{key} names {beyond[0]!r}, which is not in 'tools'")
        if beyond := sorted(set(self.cache_s) - set(self.read_only)):
            raise ValueError(f"cache_s names {beyond[0]!r}, which is not in 'read_only': a call with effects is made")
        if beyond := sorted(set(self.cache_s) & set(self.needs_approval)):
            raise ValueError(f"cache_s names {beyond[0]!r}, of which people decide each call")
        return self

    @field_validator("command", "args", "url")
    @classmethod
    def _is_written_out(cls, value: Any) -> Any:
        for text in (value,) if isinstance(value, str) else value or ():
            if "${" in text:
                raise ValueError("takes no variable: what is reviewed is what runs; write the value out")
        return value

    @field_validator("args")
    @classmethod
    def _arguments_hold_no_secrets(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if masked_texts(value) != list(value):
            raise ValueError("an argument holds a secret, which everybody on the machine could read; use 'env'")
        return value

    @field_validator("env", "headers")
    @classmethod
    def _secrets_are_references(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            if "\0" in name + text or "\n" in name + text or "\r" in name + text:
                raise ValueError(f"{name!r} has more than one line")
            if not REFERENCE.fullmatch(text) and _is_literal_secret(name, text):
                raise ValueError(f"the value of {name!r} looks like a secret; write env:NAME instead")
        return value

    @field_validator("env")
    @classmethod
    def _variables_have_names(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            if not re.fullmatch(r"[A-Za-z_]\w*", name):
                raise ValueError(f"{name!r} is no name of a variable")
        return value

    @model_validator(mode="after")
    def _the_address_is_safe(self) -> Self:
        if self.url is None:
            return self
        try:
            scheme, host = require_address(self.url)
        except ValueError as error:
            raise ValueError(f"url: {error}") from None
        if scheme == "http" and not is_here(host) and self.plain_http == "refuse":
            raise ValueError(
                "url: http:// beyond this machine can be read on the way; use https://, or say plain_http: allow"
            )
        return self

    @property
    def allows_every_tool(self) -> bool:
        """Whether all that the server lists is offered."""
        return EVERY_TOOL in self.tools


class Mcp(Document):
    """By name; or the name of a file with them. What is in the file counts as if it stood here."""

    model_config = ConfigDict(extra="allow", frozen=True)
    __pydantic_extra__: dict[str, McpServer]

    file: str | None = Field(None, description="name of a file in the agent's folder, such as mcp.json")

    @model_validator(mode="wrap")
    @classmethod
    def _by_name(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """A text is the name of a file; `mcpServers` may stand around the servers, as in other programs' files."""
        if isinstance(value, str):
            return handler({"file": value})
        if not isinstance(value, Mapping):
            return handler(value)
        servers = value.get("mcpServers", value) if len(value) == 1 else value
        return without_refused(servers, handler, _wrong_with) if isinstance(servers, Mapping) else handler(servers)

    @field_validator("file")
    @classmethod
    def _lies_in_the_folder(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[A-Za-z0-9_][\w.-]*\.json", value):
            raise ValueError("write the name of a .json file that lies beside the agent's file")
        return value

    @model_validator(mode="after")
    def _in_one_place(self) -> Self:
        if self.file is not None and self.servers:
            raise ValueError("servers stand in the file or here, not in both")
        if len(self.servers) > MAX_SERVERS:
            raise ValueError(f"at most {MAX_SERVERS} servers")
        return self

    @property
    def servers(self) -> dict[str, McpServer]:
        """Those that stand here, by name."""
        return self.__pydantic_extra__

    def __bool__(self) -> bool:
        """Whether there is any."""
        return self.file is not None or bool(self.servers)


def _wrong_with(name: str) -> str:
    """What is wrong with a server's name, if anything."""
    if _SERVER.fullmatch(name) and len(name) <= _LONGEST_NAME:
        return ""
    return (
        f"{name[:_LONGEST_NAME]!r} is no name of a server: write up to {_LONGEST_NAME} letters and digits,"
        " with single '-' or '_' between them"
    )


def or_file(schema: dict[str, Any]) -> None:
    """Say in the JSON Schema of a field of this type that the name of a file will do."""
    schema["anyOf"] = [{"$ref": schema.pop("$ref")}, {"type": "string"}]


_FOREIGN = frozenset({"autoApprove", "alwaysAllow", "description", "$schema", "inputs"})
"""Keys of other programs. What they let a model do unasked is not taken over."""


def servers_of_file(value: Any) -> Any:
    """The decoded value of an `mcp.json` as the `mcp` of an agent's file; keys that only other programs know are left out."""
    if not isinstance(value, dict):
        return value
    servers = value.get("mcpServers", value.get("servers"))
    if not isinstance(servers, dict):
        return {}
    return {str(name): _without_foreign(server) for name, server in servers.items()}


def _without_foreign(server: Any) -> Any:
    return {key: value for key, value in server.items() if key not in _FOREIGN} if isinstance(server, dict) else server


def _is_literal_secret(name: str, text: str) -> bool:
    if masked_texts([text]) != [text] and not VARIABLE.search(text):
        return True
    said = _SCHEME.sub("", VARIABLE.sub("", text)).strip()
    return is_secret_name(name) and len(said) >= _SHORTEST_SECRET
