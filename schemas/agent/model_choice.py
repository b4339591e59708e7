"""One model of the pool: whose, where, with which key, at which price."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Literal, Self, get_args

from pydantic import Field, field_validator, model_validator

from schemas.documents import Document

from .addresses import require_address

Vendor = Literal["offline", "openai", "anthropic", "ollama", "azure", "openrouter", "compatible"]
VENDORS: tuple[Vendor, ...] = get_args(Vendor)
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

    provider: Vendor = Field(description="who answers; compatible: any server that speaks OpenAI's protocol")
    model: str = Field("offline", description="the model's name, as its provider writes it")
    api_key: str | None = Field(None, description="a reference (env:NAME, file:PATH, credential:NAME), never a key")
    base_url: str | None = Field(
        None, description="the server, where it is not the provider's own; for azure and compatible it has to be said"
    )
    api_version: str | None = Field(
        None, description="azure only: the dated version of its API; without, its /openai/v1 is spoken"
    )
    temperature: float | None = Field(
        None, ge=0, le=2, description="how freely the model chooses its words; not for anthropic"
    )
    top_p: float | None = Field(
        None, gt=0, le=1, description="the share of likely words that it chooses from; not for anthropic"
    )
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

    @field_validator("base_url")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        if value is not None:
            require_address(value)
        return value

    @property
    def sampling(self) -> dict[str, float]:
        """What the file says of how the model chooses its words."""
        said = {"temperature": self.temperature, "top_p": self.top_p}
        return {name: value for name, value in said.items() if value is not None}

    @model_validator(mode="after")
    def _says_what_its_provider_takes(self) -> Self:
        for provider, is_wrong, advice in _RULES:
            if self.provider in provider and is_wrong(self):
                raise ValueError(f"provider {self.provider}: {advice}")
        return self


_OTHERS = frozenset(VENDORS) - {"azure"}
_RULES: tuple[tuple[frozenset[str], Callable[[ModelChoice], bool], str], ...] = (
    (
        frozenset({"anthropic"}),
        lambda choice: bool(choice.sampling),
        "its API has no temperature and no top_p; leave them out, or use another provider",
    ),
    (frozenset({"offline"}), lambda choice: bool(choice.sampling), "it has no temperature and no top_p"),
    (frozenset({"azure", "compatible"}), lambda choice: not choice.base_url, "say where its server is: base_url"),
    (frozenset({"azure"}), lambda choice: not choice.api_key, "it needs a key: api_key"),
    (_OTHERS, lambda choice: bool(choice.api_version), "api_version is for azure alone; leave it out"),
    (
        frozenset(VENDORS) - {"offline"},
        lambda choice: choice.model == "offline",
        "say which model: model",
    ),
    (
        frozenset({"anthropic", "openai", "openrouter"}),
        lambda choice: not choice.api_key and not choice.base_url,
        "it needs a key: api_key (env:NAME, file:PATH or credential:NAME)",
    ),
)
"""Providers, what is wrong at them, and the advice."""
