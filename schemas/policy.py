"""Who must approve which change: rules by path and kind, the last match wins, no match is the strictest."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from schemas.approvals import Kind
from schemas.documents import Document
from schemas.fleet import Group

Risk = Literal["low", "medium", "high"]


class Rule(Document):
    """One rule. `paths` are globs over `agents/<agent>/<file>`; `*` stays within one folder, `**` does not."""

    paths: Annotated[tuple[str, ...], Field(min_length=1)]
    kinds: tuple[Kind, ...] = Field((), description="kinds this rule is for; empty means all")
    quorum: int = Field(1, ge=1, le=16, description="distinct reviewers that must approve")
    groups: tuple[Group, ...] = Field((), description="groups whose members may vote; empty means all")
    risk: Risk = "medium"


class Policy(Document):
    """The rules in force, and the limits that hold for every proposal."""

    version: Annotated[str, StringConstraints(min_length=1, max_length=40)]
    rules: tuple[Rule, ...]
    decide_within_s: int = Field(24 * 3600, ge=60)
    apply_within_s: int = Field(4 * 3600, ge=60)
    max_open_per_agent: int = Field(5, ge=1)
