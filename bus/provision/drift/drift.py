"""One difference between what is there and what provisioning would make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["key", "file", "context", "server", "stream", "rules"]
PROVISION: Final = "agentbus provision"


@dataclass(frozen=True, slots=True)
class Drift:
    """`what` is a path or a name, `says` a sentence about it, `fix` a command or a step."""

    kind: Kind
    what: str
    says: str
    fix: str


@dataclass(frozen=True, slots=True)
class Looked:
    """How many things of a kind were looked at, and what is amiss with them."""

    count: int
    found: tuple[Drift, ...] = ()

    def __add__(self, other: Looked) -> Looked:
        return Looked(self.count + other.count, (*self.found, *other.found))
