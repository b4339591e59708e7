"""The models of an agent: which ones, with which key, at which price."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from schemas.documents import Document

from .limits import Breaker

_PROMPT_FILE = r"^$|^[A-Za-z0-9_][A-Za-z0-9_-]*(/[A-Za-z0-9_][A-Za-z0-9_-]*){0,4}\.(md|txt)$"
_REFERENCE = re.compile(r"(env|file|credential):.+")
_LOOKS_SECRET = re.compile(r"(sk-|sk_|AKIA|xox[bp]-|ghp_|SU[A-Z2-7]{20})|^[A-Za-z0-9_\-]{32,}$")


class Price(Document):
    """What a model's tokens cost, in US dollars for a million, as its provider's price list says."""

    input_usd_per_million: Decimal = Field(ge=0, allow_inf_nan=False, description="of a million tokens that it reads")
    output_usd_per_million: Decimal = Field(ge=0, allow_inf_nan=False, description="of a million tokens that it writes")

    cache_read_usd_per_million: Decimal | None = Field(
        None, ge=0, allow_inf_nan=False, description="of those that the provider had in its cache; as all that it reads"
    )
    cache_write_usd_per_million: Decimal | None = Field(
        None, ge=0, allow_inf_nan=False, description="of those that it puts into its cache; as all that it reads"
    )

    @property
    def rates(self) -> tuple[Decimal, Decimal, Decimal, Decimal]:
        """For a million tokens of input, of output, read from the cache, written to it."""
        of_input, read, write = (
            self.input_usd_per_million, self.cache_read_usd_per_million, self.cache_write_usd_per_million
        )  # fmt: skip
        return (
            of_input,
            self.output_usd_per_million,
            of_input if read is None else read,
            of_input if write is None else write,
        )


class ModelChoice(Document):
    """One model of the pool. `offline` is the built-in stand-in that needs no key and is not a model."""

    provider: Literal["offline", "openai", "anthropic"] = Field(description="whose protocol is spoken")
    model: str = Field("offline", description="the model's name, as its provider writes it")
    api_key: str | None = Field(None, description="a reference (env:NAME, file:PATH, credential:NAME), never a key")
    base_url: str | None = Field(None, description="another server that speaks the provider's protocol")
    max_tokens: int = Field(1024, ge=1, description="the longest answer, in tokens")
    context_window: int | None = Field(
        None, ge=1, description="how many tokens the model reads and writes together; what is known of it, without"
    )
    price: Price | None = Field(
        None, description="what it costs, where the table of prices does not know it or is to be overruled"
    )
    when_key_is_missing: Literal["skip", "fail"] = Field(
        "fail", description="fail: the agent does not start; skip: the next model of the pool is taken"
    )

    @field_validator("api_key")
    @classmethod
    def _is_a_reference(cls, value: str | None) -> str | None:
        if value is not None and not _REFERENCE.fullmatch(value):
            kind = "looks like a secret" if _LOOKS_SECRET.search(value) else "is not a reference"
            raise ValueError(f"the value {kind}; write env:NAME, file:PATH or credential:NAME instead")
        return value


class Llm(Document):
    """The models that answer, in order of preference, and the prompt that they get."""

    system_prompt: str = Field("", description="what the models are told of their work, before anything a caller says")
    prompt_file: str = Field(
        "",
        pattern=_PROMPT_FILE,
        description="a file beside this one that holds the system prompt instead: NAME.md or NAME.txt",
    )
    pool: Annotated[tuple[ModelChoice, ...], Field(min_length=1)] = Field(
        description="the models in order of preference: the first one that can answer does"
    )
    request_timeout_s: float = Field(60.0, gt=0, description="how long one call of a model may take")
    breaker: Breaker = Field(Breaker(), description="when a model that fails is left alone for a while")

    @model_validator(mode="after")
    def _has_one_prompt(self) -> Self:
        if bool(self.system_prompt) == bool(self.prompt_file):
            raise ValueError("write exactly one of 'system_prompt' and 'prompt_file'")
        return self
