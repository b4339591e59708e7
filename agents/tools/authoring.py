"""How an author writes a tool: a typed function, decorated.

    @tool(has_effects=False)
    async def population(city: str, ctx: Context) -> int:
        \"\"\"How many people live in a city.\"\"\"
        return PEOPLE[city]

The parameters are what a model gives, checked before the function runs; one that is annotated `Context` gets the
surroundings of the request instead. A single parameter that is a pydantic model or a msgspec Struct stands for all of
its fields. What the function returns is told to the model: text as it is, anything else as JSON. What it cannot do it
says with `ToolFailed`; other errors end the conversation.
"""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, overload

import msgspec
import pydantic

from agents.context import Context
from agents.llm.tools import Input, Tool
from agents.skill import first_paragraph
from agents.tools.row import Row
from schemas.a2a import JsonObject
from schemas.documents import Document, parse_value
from schemas.errors import InvalidDocument
from schemas.text import harmless

NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
Function = Callable[..., Awaitable[Any]]
_BY_NAME: Final = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


@dataclass(frozen=True, slots=True)
class AuthoredTool:
    """A function with what a model and a toolbox have to know of it. Called, it is the function, as in a test."""

    name: str
    description: str
    function: Function
    has_effects: bool
    approval: Literal["never", "always"]
    input: type[Document] | Input
    context: str = ""
    """The parameter that gets the context; empty where there is none."""
    whole: str = ""
    """The parameter that gets all arguments as one value; empty where each has its own."""

    async def __call__(self, *arguments: Any, **named: Any) -> Any:
        """What the function returns; nothing is checked or converted."""
        return await self.function(*arguments, **named)

    def row(self, name: str, origin: str) -> Row:
        """As a toolbox takes it, under the name that the agent's file has for it."""
        return Row(
            Tool(name=name, description=self.description, input=self.input), self._run, has_effects=self.has_effects,
            needs_approval=self.approval == "always", origin=origin,
        )  # fmt: skip

    async def _run(self, arguments: Any, context: Context) -> str:
        given = (
            {self.whole: arguments} if self.whole else {name: getattr(arguments, name) for name in _fields(arguments)}
        )
        if self.context:
            given[self.context] = context
        return _said(await self.function(**given))


@overload
def tool(function: Function, /) -> AuthoredTool: ...


@overload
def tool(
    *, name: str = "", description: str = "", has_effects: bool = True, approval: Literal["never", "always"] = "never"
) -> Callable[[Function], AuthoredTool]: ...


def tool(
    function: Function | None = None, /, *, name: str = "", description: str = "", has_effects: bool = True,
    approval: Literal["never", "always"] = "never",
) -> AuthoredTool | Callable[[Function], AuthoredTool]:  # fmt: skip
    """Make a tool of an `async def` with typed parameters.

    `name` is the function's unless given, and `description` the first paragraph of its docstring. A tool has effects
    unless it says otherwise: then what it is about to do is on the trail before it runs. With `approval="always"` people
    decide about each call, whatever the agent's file says.

    Raises:
        InvalidDocument: the function is not of that form; the message says what is missing.
    """

    def decorate(function: Function) -> AuthoredTool:
        where = f"tool {function.__name__}"
        title = name or function.__name__
        if not inspect.iscoroutinefunction(function):
            raise InvalidDocument(f"{where} must be `async def {function.__name__}(…)`")
        if not NAME.fullmatch(title):
            raise InvalidDocument(f"{where}: {title!r} is no name: letters, digits, '_' and '-', at most 64")
        words = description or first_paragraph(function)
        if not words:
            raise InvalidDocument(f"{where} needs a docstring, or `description`: it is all that a model knows of it")
        taken = _parameters(function, where)
        return AuthoredTool(title, words, function, has_effects, approval, taken.input, taken.context, taken.whole)

    return decorate if function is None else decorate(function)


@dataclass(frozen=True, slots=True)
class _Taken:
    input: type[Document] | Input
    context: str = ""
    whole: str = ""


def _parameters(function: Function, where: str) -> _Taken:
    hints = _hints(function, where)
    plain: dict[str, Any] = {}
    context = ""
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind not in _BY_NAME or name not in hints or name.startswith("_"):
            raise InvalidDocument(f"{where}: parameter {name} needs a type, and a name that a model can give")
        if hints[name] is Context:
            context = name
            continue
        plain[name] = (hints[name], ... if parameter.default is parameter.empty else parameter.default)
    if len(plain) == 1:
        ((name, (kind, default)),) = plain.items()
        if default is ... and (whole := _whole(kind)):
            return _Taken(whole, context, whole=name)
    return _Taken(_document(function, plain, where), context)


def _hints(function: Function, where: str) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError, AttributeError) as error:
        raise InvalidDocument(
            f"{where}: its types cannot be read: {error}; import them at the top of the file"
        ) from None


def _whole(kind: Any) -> type[Document] | Input | None:
    if not isinstance(kind, type):
        return None
    if issubclass(kind, Document):
        return kind
    if issubclass(kind, pydantic.BaseModel):
        return _ModelInput(kind)
    return _StructInput(kind) if issubclass(kind, msgspec.Struct) else None


def _document(function: Function, plain: Mapping[str, Any], where: str) -> type[Document]:
    title = "".join(word.capitalize() for word in function.__name__.split("_"))
    try:
        made: type[Document] = pydantic.create_model(title, __base__=Document, **plain)
        made.model_json_schema()
    except (pydantic.errors.PydanticUserError, NameError, TypeError) as error:
        said = str(error).splitlines()[0]
        raise InvalidDocument(f"{where}: its parameters have types that a model cannot give: {said}") from None
    return made


class _ModelInput:
    """Arguments that are a pydantic model of the author's."""

    def __init__(self, kind: type[pydantic.BaseModel]) -> None:
        self._kind = kind
        self.schema: JsonObject = kind.model_json_schema()

    def read(self, value: JsonObject, where: str) -> Any:
        """See `Input`."""
        return parse_value(value, typing.cast(type[Document], self._kind), where)

    def plain(self, arguments: pydantic.BaseModel) -> JsonObject:
        """See `Input`."""
        return arguments.model_dump(mode="json")


class _StructInput:
    """Arguments that are a msgspec Struct of the author's."""

    def __init__(self, kind: type[msgspec.Struct]) -> None:
        self._kind = kind
        (schema,), components = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
        name = str(schema["$ref"]).rsplit("/", 1)[1]
        rest = {key: each for key, each in components.items() if key != name or _refers(components, name)}
        self.schema: JsonObject = {**components[name], **({"$defs": rest} if rest else {})}

    def read(self, value: JsonObject, where: str) -> Any:
        """See `Input`."""
        try:
            return msgspec.convert(value, self._kind)
        except msgspec.ValidationError as error:
            raise InvalidDocument(f"{where}: {error}") from None

    def plain(self, arguments: msgspec.Struct) -> JsonObject:
        """See `Input`."""
        plain: JsonObject = msgspec.to_builtins(arguments)
        return plain


def _refers(components: Mapping[str, Any], name: str) -> bool:
    return f"#/$defs/{name}" in str(components)


def _fields(arguments: Any) -> list[str]:
    return list(type(arguments).model_fields)


def _said(result: Any) -> str:
    """What a model is told: text as it is, anything else as JSON."""
    if isinstance(result, str):
        return result
    if isinstance(result, pydantic.BaseModel):
        return result.model_dump_json()
    try:
        return msgspec.json.encode(result).decode()
    except (TypeError, ValueError):
        return harmless(str(result), keep="\n\t")
