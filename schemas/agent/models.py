"""The models of an agent, in order, with the prompt that they get."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from schemas.documents import Document

from .limits import Breaker
from .model_choice import ModelChoice

_PROMPT_FILE = r"^$|^[A-Za-z0-9_][A-Za-z0-9_-]*(/[A-Za-z0-9_][A-Za-z0-9_-]*){0,4}\.(md|txt)$"


class ResponseCache(Document):
    """Answers that are given again to the very same question: the same prompt, conversation and tools."""

    ttl_s: float = Field(300.0, gt=0, description="how long an answer is given again")
    max_entries: int = Field(1000, ge=1, description="how many answers are kept, in the memory of the process")


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

    cache: ResponseCache | None = Field(
        None, description="give the same answer to the very same question, without asking; not without this section"
    )

    @model_validator(mode="after")
    def _has_one_prompt(self) -> Self:
        if bool(self.system_prompt) == bool(self.prompt_file):
            raise ValueError("write exactly one of 'system_prompt' and 'prompt_file'")
        return self
