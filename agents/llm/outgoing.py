"""The last look before words leave for a provider: no secret of this process goes with them.

A key of one provider must not reach another one, nor the bus key anybody, whatever a tool found or a caller
pasted. Looked for are the values that this process has read as secrets (`schemas.redaction`), in every spelling
that is known there; looking costs about a microsecond a kilobyte.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from schemas.redaction import REGISTERED

from .conversation import Completion, Turn
from .errors import PoolUnusable


def without_secrets(completion: Completion) -> Completion:
    """The same completion, without registered values in its turns; the very same object when there are none.

    Raises:
        PoolUnusable: one stands in the system prompt, which nobody but the operator can have put there.
    """
    if REGISTERED.are_in(completion.system.text):
        raise PoolUnusable("the system prompt holds a secret that this process uses; take it out of the agent's file")
    plain = msgspec.to_builtins(completion.turns)
    texts = list(_texts(plain))
    clean = REGISTERED.redacted(texts)
    if clean is texts:
        return completion
    turns = msgspec.convert(_with(plain, iter(clean)), tuple[Turn, ...])
    return msgspec.structs.replace(completion, turns=turns)


def _texts(value: Any) -> Iterator[str]:
    """Every text in it, keys of objects too, in an order that `_with` follows."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield key
            yield from _texts(each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _texts(each)


def _with(value: Any, texts: Iterator[str]) -> Any:
    """The same value with these texts in place of its own."""
    if isinstance(value, str):
        return next(texts)
    if isinstance(value, dict):
        return {next(texts): _with(each, texts) for each in value.values()}
    if isinstance(value, (list, tuple)):
        return [_with(each, texts) for each in value]
    return value
