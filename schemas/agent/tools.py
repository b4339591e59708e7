"""What a model may do besides answering: the tools that the agent's file names, and no others.

tools: [read, edit]                                   # names, or names with settings:
tools:
  read: {arguments: {path: {allow: ["notes/**"]}}}
  bash: {timeout_s: 60, approval: always}
  http_request: {hosts: [api.example.com]}
  tools.py:lookup: {}                                 # a tool of the agent's own folder
  acme-weather:forecast: {}                           # of the installed distribution acme-weather
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any, Final, Self

from pydantic import ConfigDict, Field, GetJsonSchemaHandler, ModelWrapValidatorHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from schemas.documents import Document
from schemas.refused_names import without_refused

from .routing import AskSettings
from .tool_settings import BashSettings, FileSettings, HttpSettings, SearchSettings, ToolSettings, WriteSettings

OWN: Final = re.compile(r"(?P<file>[a-z_][a-z0-9_]*\.py):(?P<name>[A-Za-z_][A-Za-z0-9_]{0,63})")
"""A tool in a file beside agent.yaml."""
INSTALLED: Final = re.compile(r"(?P<distribution>[A-Za-z0-9][A-Za-z0-9._-]{0,99}):(?P<name>[A-Za-z_][\w-]{0,63})")
"""A tool of an installed distribution."""


class Tools(Document):
    """By name; a list of names is the same without settings. Names with a colon are of others than the product."""

    model_config = ConfigDict(extra="allow", frozen=True)
    __pydantic_extra__: dict[str, ToolSettings]

    read: FileSettings | None = Field(None, description="read files of the agent's workspace")
    write: WriteSettings | None = Field(None, description="write files of the agent's workspace")
    edit: WriteSettings | None = Field(None, description="replace text in files of the agent's workspace")
    bash: BashSettings | None = Field(None, description="run commands in a sandbox that sees the workspace alone")
    http_request: HttpSettings | None = Field(None, description="speak to listed web servers")
    web_search: SearchSettings | None = Field(None, description="search the web")
    propose_change: ToolSettings | None = Field(None, description="propose a change of the agent itself")
    ask_agent: AskSettings | None = Field(None, description="ask another agent")
    note: ToolSettings | None = Field(None, description="keep notes beyond the conversation")
    recall: ToolSettings | None = Field(None, description="look up what was put away of the conversation")

    @model_validator(mode="wrap")
    @classmethod
    def _by_name(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """A list of names, and names without settings, become a mapping; unknown names are refused."""
        if isinstance(value, str | bytes):
            raise ValueError("write a list of names, or a mapping of names to settings")  # noqa: TRY004  pydantic's way
        if isinstance(value, list | tuple | set | frozenset):
            value = _of_list(list(value))
        if not isinstance(value, Mapping):
            return handler(value)
        settings = {name: {} if each is None else each for name, each in value.items()}
        return without_refused(settings, handler, _wrong_with)

    @property
    def named(self) -> dict[str, ToolSettings]:
        """Every tool that the file names."""
        own = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: settings for name, settings in own.items() if settings is not None} | self.__pydantic_extra__

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.named)

    @classmethod
    def of(cls, *names: str) -> Self:
        """Those of these names, as they are without settings."""
        return cls.model_validate(list(names))

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The mapping; that a list of names will do stands beside it."""
        schema = handler.resolve_ref_schema(handler(core))
        schema["additionalProperties"] = False
        others = {"$ref": _reference_of(schema)}
        schema["patternProperties"] = {f"^(?:{_plain(OWN)}|{_plain(INSTALLED)})$": others}
        return schema


def or_names(schema: dict[str, Any]) -> None:
    """Say in the JSON Schema of a field of this type that a list of names will do."""
    names = {"type": "array", "items": {"type": "string"}, "uniqueItems": True}
    schema["anyOf"] = [{"$ref": schema.pop("$ref")}, names]


def _plain(pattern: re.Pattern[str]) -> str:
    """As JSON Schema has it: groups without names."""
    return re.sub(r"\?P<\w+>", "?:", pattern.pattern)


def _reference_of(schema: JsonSchemaValue) -> str:
    """Where the settings of any tool stand, by the key of one that has no others."""
    return str(schema["properties"]["propose_change"]["anyOf"][0]["$ref"])


_NEEDS_SETTINGS: Final = {"http_request": "hosts: […]", "web_search": "api_key: env:NAME"}
"""Tools of the product that do not work as they are, and which setting they need."""


def _of_list(names: list[Any]) -> dict[str, Any]:
    odd = next((name for name in names if not isinstance(name, str)), None)
    if odd is not None:
        raise ValueError(f"{odd!r} is no name; a tool with settings stands in a mapping: NAME: {{…}}")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"{twice!r} is listed twice; leave one out")
    for name in names:
        if name in _NEEDS_SETTINGS:
            raise ValueError(f"{name} needs a setting, so write a mapping: {name}: {{{_NEEDS_SETTINGS[name]}}}")
    return dict.fromkeys(names)


def _wrong_with(name: str) -> str:
    """What is wrong with a tool's name, if anything."""
    if name in Tools.model_fields or OWN.fullmatch(name) or INSTALLED.fullmatch(name):
        return ""
    near = difflib.get_close_matches(name, Tools.model_fields, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(sorted(Tools.model_fields))}"
    return f"there is no tool {name!r}; {hint} (tools of others are written FILE.py:NAME or DISTRIBUTION:NAME)"
