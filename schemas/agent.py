"""The agent's own file: what it is, how it answers, what it may use. `agents/<id>/agent.yaml`."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import Field, JsonValue, StringConstraints, field_validator, model_validator

from schemas.documents import Document
from schemas.errors import InvalidDocument
from schemas.fleet import AgentId
from schemas.heartbeat import LONGEST_INTERVAL_S, MISSED
from schemas.json_schema import JsonSchema
from schemas.subjects import TOKEN

SkillId = Annotated[str, StringConstraints(pattern=f"^{TOKEN}$")]
_REFERENCE = re.compile(r"(env|file|credential):.+")
_LOOKS_SECRET = re.compile(r"(sk-|sk_|AKIA|xox[bp]-|ghp_|SU[A-Z2-7]{20})|^[A-Za-z0-9_\-]{32,}$")
_URI = r"^[A-Za-z][A-Za-z0-9+.-]*:[!-+\--~]+$"  # no white space, no comma
_SEMVER = r"^\d+\.\d+\.\d+$"


class SkillText(Document):
    """How a skill is described to others. A handler's types come from its signature."""

    id: SkillId
    name: str
    description: str
    tags: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()
    input: dict[str, JsonValue] | None = Field(
        None, description="JSON Schema of the data part that a model takes; text when there is none"
    )
    output: dict[str, JsonValue] | None = Field(
        None, description="JSON Schema of the data part that a model gives; text when there is none"
    )

    @field_validator("input", "output")
    @classmethod
    def _is_a_schema(cls, value: dict[str, JsonValue] | None) -> dict[str, JsonValue] | None:
        if value is not None:
            try:
                JsonSchema(value)
            except InvalidDocument as error:
                raise ValueError(str(error)) from None
        return value


class Identity(Document):
    """Who the agent is."""

    id: AgentId
    description: str
    version: Annotated[str, StringConstraints(pattern=_SEMVER)] = "1.0.0"
    skills: tuple[SkillText, ...] = ()


class Price(Document):
    """What a model's tokens cost, in US dollars for a million, as its provider's price list says."""

    input_usd_per_million: float = Field(ge=0, allow_inf_nan=False)
    output_usd_per_million: float = Field(ge=0, allow_inf_nan=False)

    def of(self, input_tokens: int, output_tokens: int) -> float:
        """The cost in US dollars, to a millionth."""
        cost = input_tokens * self.input_usd_per_million + output_tokens * self.output_usd_per_million
        return round(cost / 1_000_000, 6)


class ModelChoice(Document):
    """One model of the pool. `offline` is the built-in stand-in that needs no key and is not a model."""

    provider: Literal["offline", "openai", "anthropic"]
    model: str = "offline"
    api_key: str | None = Field(None, description="a reference (env:NAME, file:PATH, credential:NAME), never a key")
    base_url: str | None = None
    max_tokens: int = Field(1024, ge=1)
    price: Price | None = Field(None, description="for the trail: the cost of each call stands in llm.called")
    when_key_is_missing: Literal["skip", "fail"] = "fail"

    @field_validator("api_key")
    @classmethod
    def _is_a_reference(cls, value: str | None) -> str | None:
        if value is not None and not _REFERENCE.fullmatch(value):
            kind = "looks like a secret" if _LOOKS_SECRET.search(value) else "is not a reference"
            raise ValueError(f"the value {kind}; write env:NAME, file:PATH or credential:NAME instead")
        return value


class Llm(Document):
    """The models that answer, in order of preference, and the prompt that they get."""

    system_prompt: str
    pool: Annotated[tuple[ModelChoice, ...], Field(min_length=1)]
    request_timeout_s: float = Field(60.0, gt=0)


class CallerLimits(Document):
    """What one caller may send, in place of what every caller may."""

    requests_per_s: float = Field(10.0, ge=0, description="messages a second, on average; 0: no limit")
    burst: int = Field(20, ge=1, description="messages at once, before `requests_per_s` counts")


class Breaker(Document):
    """When an agent that is asked, and fails, is left alone for a while."""

    failures: int = Field(5, ge=0, description="failures in a row after which it is not asked; 0: always asked")
    successes: int = Field(2, ge=1, description="answers in a row after which it is asked as before")
    open_s: float = Field(60.0, gt=0, description="how long it is not asked before it is tried again")


class Limits(Document):
    """What one instance takes on at once."""

    max_concurrent: int = Field(100, ge=1, description="requests and tasks of all kinds that run at the same time")
    max_queued: int = Field(1000, ge=0, description="requests that may wait for a place")
    queue_timeout_s: float = Field(30.0, gt=0, description="how long a request may wait for a place")
    requests_per_s: float = Field(10.0, ge=0, description="messages a second of one caller, on average; 0: no limit")
    burst: int = Field(20, ge=1, description="messages of one caller at once, before `requests_per_s` counts")
    callers: dict[Annotated[str, StringConstraints(pattern=f"^{TOKEN}$")], CallerLimits] = Field(
        {}, description="callers by name who may send more, or less, than the others"
    )
    max_tool_rounds: int = Field(10, ge=1, description="model turns that may end in tool calls")
    breaker: Breaker = Breaker()
    request_timeout_s: float = Field(300.0, gt=0)
    drain_timeout_s: float = Field(25.0, gt=0)


class Canary(Document):
    """A request that the agent must answer after each change of itself. Without one, its card is asked for."""

    text: str | None = None
    data: JsonValue = None
    skill: str = ""
    contains: str = Field("", description="text that the answer must contain")
    timeout_s: float = Field(10.0, gt=0, le=300)

    @model_validator(mode="after")
    def _asks_one_thing(self) -> Self:
        if (self.text is None) == (self.data is None):
            raise ValueError("a canary has exactly one of 'text' and 'data'")
        return self


class Extension(Document):
    """An extension of A2A that the agent speaks, as its card lists it."""

    uri: Annotated[str, StringConstraints(pattern=_URI, max_length=200)]
    description: str = ""
    required: bool = Field(False, description="refuse messages of clients that do not declare it")
    params: dict[str, JsonValue] = {}

    @field_validator("uri")
    @classmethod
    def _is_not_ours(cls, value: str) -> str:
        if value.startswith("urn:agentbus:"):
            raise ValueError("urn:agentbus: is for what every agent of this product lists by itself")
        return value


class AgentFile(Document):
    """The whole file. Either `handler` (Python in the agent's own folder) or `llm` answers."""

    agent: Identity
    handler: str | None = Field(
        None, description="FILE.py:NAME in the agent's folder; NAME is a skill or a list of them"
    )
    llm: Llm | None = None
    tools: tuple[Literal["propose_change"], ...] = ()
    extensions: tuple[Extension, ...] = ()
    limits: Limits = Limits()
    canary: Canary | None = None
    heartbeat_interval_s: float = Field(
        30.0, gt=0, le=LONGEST_INTERVAL_S, description=f"an instance that misses {MISSED} is offline"
    )

    @field_validator("handler")
    @classmethod
    def _handler_names_a_file(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[a-z_][a-z0-9_]*\.py:[A-Za-z_]\w*", value):
            raise ValueError("write FILE.py:NAME; the file lies beside agent.yaml")
        return value

    @field_validator("extensions")
    @classmethod
    def _each_extension_once(cls, value: tuple[Extension, ...]) -> tuple[Extension, ...]:
        if len({extension.uri for extension in value}) < len(value):
            raise ValueError("an extension is listed twice; leave one out")
        return value

    @model_validator(mode="after")
    def _one_way_to_answer(self) -> Self:
        if (self.handler is None) == (self.llm is None):
            raise ValueError("an agent has exactly one of 'handler' and 'llm'")
        return self

    @model_validator(mode="after")
    def _types_have_one_source(self) -> Self:
        for skill in self.agent.skills:
            if self.handler and (skill.input or skill.output):
                raise ValueError(f"skill {skill.id}: a handler's types come from its signature; leave the schemas out")
        return self
