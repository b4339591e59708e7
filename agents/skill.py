"""How an agent's author writes a skill: a typed function, decorated.

    class CountInput(msgspec.Struct):
        text: str

    class Counts(msgspec.Struct):
        words: int

    @skill(description="Counts words.", tags=["text"])
    async def count(request: CountInput, ctx: Context) -> Counts:
        return Counts(words=len(request.text.split()))

The types are the contract: they are published in the agent's card as JSON Schemas, and what does not
match is refused before the function runs. A skill that gives its answer in pieces is an async generator,
`async def tell(request: str, ctx: Context) -> AsyncIterator[str]`; its output type is that of a piece.
Plain `@skill` takes the description from the function's docstring.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import pydantic

from agents.asking import Ask, AskedBack, Restarted
from agents.context import Context
from agents.remembering import Note, Said
from schemas.errors import InvalidDocument
from schemas.subjects import require_token

__all__ = ["Ask", "AskedBack", "Context", "Note", "Restarted", "Said", "Skill", "skill"]

Function = Callable[[Any, Context], Awaitable[Any] | AsyncIterator[Any]]
"""A coroutine function, or an async generator function."""


@dataclass(frozen=True, slots=True)
class Skill:
    """A function with its published description and types."""

    id: str
    name: str
    description: str
    tags: tuple[str, ...]
    examples: tuple[str, ...]
    input: type[Any]
    output: type[Any]
    function: Function
    is_streaming: bool = False
    """The function is an async generator, and `output` the type of each piece."""


@typing.overload
def skill(function: Function, /) -> Skill: ...
@typing.overload
def skill(
    *, description: str = "", id: str = "", name: str = "", tags: Sequence[str] = (), examples: Sequence[str] = ()
) -> Callable[[Function], Skill]: ...
def skill(
    function: Function | None = None, /, *, description: str = "",
    id: str = "",  # noqa: A002  the protocol's word
    name: str = "", tags: Sequence[str] = (), examples: Sequence[str] = (),
) -> Skill | Callable[[Function], Skill]:  # fmt: skip
    """Make a skill of `async def f(request: Input, ctx: Context) -> Output`.

    `Input` and `Output` are `str` (text), a msgspec Struct or a pydantic model. `id` is the function's name
    with dashes unless given, and `description` the first paragraph of its docstring.

    Raises:
        InvalidDocument: the function is not of that form; the message says what is missing.
    """

    def decorate(function: Function) -> Skill:
        taken, given = _types_of(function)
        words = description or first_paragraph(function)
        if not words:
            raise InvalidDocument(
                f"skill {function.__name__} needs a docstring, or `description`: it is what others know of it"
            )
        identity = require_token("skill", id or function.__name__.replace("_", "-"))
        title = name or identity.replace("-", " ").capitalize()
        streams = inspect.isasyncgenfunction(function)
        return Skill(identity, title, words, tuple(tags), tuple(examples), taken, given, function, streams)

    return decorate if function is None else decorate(function)


def first_paragraph(function: Callable[..., Any]) -> str:
    """What the docstring of a function begins with, in one line; empty where it has none."""
    return " ".join((inspect.getdoc(function) or "").split("\n\n", maxsplit=1)[0].split())


def _types_of(function: Function) -> tuple[type[Any], type[Any]]:
    where = f"skill {function.__name__}"
    parameters = list(inspect.signature(function).parameters)
    streams = inspect.isasyncgenfunction(function)
    if not (streams or inspect.iscoroutinefunction(function)) or len(parameters) != 2:
        raise InvalidDocument(
            f"{where} must be `async def {function.__name__}(request: Input, ctx: Context) -> Output`"
        )
    hints = typing.get_type_hints(function)
    taken, given = hints.get(parameters[0]), hints.get("return")
    if streams:
        given = _piece_of(given)
    for what, kind in (("its request parameter", taken), ("its return value", given)):
        if not (isinstance(kind, type) and issubclass(kind, (str, msgspec.Struct, pydantic.BaseModel))):
            raise InvalidDocument(f"{where}: {what} must be annotated as str, a msgspec Struct or a pydantic model")
    return typing.cast(type[Any], taken), typing.cast(type[Any], given)


def _piece_of(given: Any) -> Any:
    """`str` for `AsyncIterator[str]`; what is not such a type is refused by the caller."""
    if typing.get_origin(given) in {AsyncIterator, AsyncGenerator}:
        return typing.get_args(given)[0]
    return None
