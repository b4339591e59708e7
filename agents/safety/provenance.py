"""Where a text comes from, which decides how it is shown to a model and never what it may do.

| provenance | whose words |
|---|---|
| `trusted` | the operator's: the agent's own file |
| `agent` | another agent's of the fleet, as the server enforced its identity |
| `untrusted` | everybody else's: people, files, tools, the network |

A part says in its metadata, under `urn:agentbus:provenance`, that its words are less trusted than who sends them:
an agent that hands on what a tool found writes `untrusted`. The claim can lower trust and never raise it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

import msgspec

from schemas.a2a import Part

Provenance = Literal["trusted", "agent", "untrusted"]
PROVENANCE_KEY: Final = "urn:agentbus:provenance"
_ORDER: Final[tuple[Provenance, ...]] = ("trusted", "agent", "untrusted")


def least(several: Iterable[Provenance], at_most: Provenance = "trusted") -> Provenance:
    """The least trusted of several and of `at_most`: what is made of texts is worth as much as the worst of them."""
    return max((at_most, *several), key=_ORDER.index)


def of_part(part: Part, sender: Provenance) -> Provenance:
    """What a part is worth whose sender is worth `sender`; one that claims what nobody knows is untrusted."""
    claim = part.metadata.get(PROVENANCE_KEY)
    if claim is None:
        return sender
    known: Provenance = next((each for each in _ORDER if each == claim), "untrusted")
    return least((known,), at_most=sender)


def marked(part: Part, provenance: Provenance) -> Part:
    """The part with its provenance written on it."""
    return msgspec.structs.replace(part, metadata={**part.metadata, PROVENANCE_KEY: provenance})
