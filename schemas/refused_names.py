"""Sections whose keys are names of their author's: refused ones are told together with all else that is wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pydantic
from pydantic_core import InitErrorDetails, PydanticCustomError


def without_refused[T](value: Mapping[Any, Any], handler: Callable[[Any], T], wrong_with: Callable[[str], str]) -> T:
    """What `handler` makes of the entries whose names are right.

    Raises:
        ValidationError: `wrong_with` has something to say of a name; what is wrong with the other entries is in it too.
    """
    refused = {name: said for name in value if (said := wrong_with(str(name)))}
    if not refused:
        return handler(value)
    problems = [_problem("value_error", said, (str(name),), name) for name, said in refused.items()]
    try:
        handler({name: entry for name, entry in value.items() if name not in refused})
    except pydantic.ValidationError as error:
        problems += [_problem(each["type"], each["msg"], each["loc"], each["input"]) for each in error.errors()]
    raise pydantic.ValidationError.from_exception_data("names", problems)


def _problem(kind: str, said: str, where: tuple[int | str, ...], value: Any) -> InitErrorDetails:
    """A problem as it was told, whatever kind it is of."""
    told = PydanticCustomError(kind, "{said}", {"said": said})
    return InitErrorDetails(type=told, loc=where, input=value)
