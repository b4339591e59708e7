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

    paths: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        description="globs over agents/<agent>/<file>, fleet.yaml and policy.yaml"
    )
    kinds: tuple[Kind, ...] = Field(
        (), description="kinds this rule is for; empty means all changes. Calls of tools are no changes: say `call`"
    )
    quorum: int = Field(1, ge=1, le=16, description="distinct reviewers that must approve")
    groups: tuple[Group, ...] = Field((), description="groups whose members may vote; empty means all")
    risk: Risk = Field("medium", description="what reviewers are shown of such a change")
    max_lines: int | None = Field(
        None,
        ge=1,
        description="the rule is for at most so many changed lines of a path, all of a day's changes together",
    )


class Health(Document):
    """What an agent must show after a change before it is kept."""

    ready_within_s: float = Field(30.0, gt=0, le=600, description="how long it may take to answer as the new release")
    steady_for_s: float = Field(30.0, ge=0, le=3600, description="how long it is watched then")
    max_failures: float = Field(
        0.5, ge=0, le=1, description="share of its requests that may fail meanwhile, from the fifth one on"
    )


class Policy(Document):
    """The rules in force, and the limits that hold for every proposal."""

    version: Annotated[str, StringConstraints(min_length=1, max_length=40)] = Field(
        description="what this state of the policy is called where a change's requirement is shown"
    )
    rules: tuple[Rule, ...] = Field(description="the rules; the last one that matches a changed path decides")
    decide_within_s: int = Field(24 * 3600, ge=5, description="how long a proposal waits for votes before it expires")
    apply_within_s: int = Field(4 * 3600, ge=60, description="how long an approved proposal may wait to be applied")
    glass_within_s: int = Field(
        4 * 3600, ge=60, description="how long what an operator did by breaking the glass stands unless confirmed"
    )
    max_open_per_agent: int = Field(5, ge=1, description="proposals of one agent that may wait at the same time")
    require_sandbox: bool = Field(
        True,
        description="refuse changes, untried, on a machine that cannot try them without network, keys and files of "
        "others; with false, limits on time and memory are enough",
    )
    health: Health = Field(Health(), description="what an agent must show after a change before it is kept")
