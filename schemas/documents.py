"""Text that people and models write (YAML, TOML): read with pydantic, refused with advice.

Errors name the file, the line, the key and the fix; an unknown key is answered with the nearest known one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pydantic

from schemas.advice import problems_of
from schemas.errors import InvalidDocument
from schemas.toml_text import read_toml
from schemas.written import Written
from schemas.yaml_text import read_yaml

TOML = ".toml"


class Document(pydantic.BaseModel):
    """The base of every document and of every section in one: unknown keys are refused, values frozen."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, strict=False)


def parse_yaml[T: Document](text: str, kind: type[T], where: str) -> T:
    """Read `text` as a `kind`; `where` (a file name) stands in every message.

    Raises:
        InvalidDocument: not YAML, or not such a document; every problem is named at once, a line each.
    """
    return parse_written(read_yaml(text, where), kind)


def load_yaml(text: str | bytes, where: str) -> Any:
    """The plain values that `text` holds.

    Raises:
        InvalidDocument: it is not YAML, or holds a value that cannot be (a thirteenth month).
    """
    return read_yaml(text, where).value


def read_text(text: str, where: str) -> Written:
    """What a file says, as TOML where its name ends so, else as YAML.

    Raises:
        InvalidDocument: it is neither.
    """
    return read_toml(text, where) if where.endswith(TOML) else read_yaml(text, where)


def parse_value[T: Document](value: Any, kind: type[T], where: str) -> T:
    """Read an already decoded `value` as a `kind`. Raises as `parse_yaml`."""
    return parse_written(Written(value, where), kind)


def parse_written[T: Document](written: Written, kind: type[T]) -> T:
    """Read what a file says as a `kind`. Raises as `parse_yaml`, with the line of each problem."""
    if written.value is None:
        written = replace(written, value={})
    try:
        return kind.model_validate(written.value)
    except pydantic.ValidationError as error:
        raise InvalidDocument.because(problems_of(error, kind, written)) from None
