"""The walls around large parts: who may write and read which of them.

Every agent and operator has a bucket in account PARTS, where no user is. It reaches that from an account of its
own, by imports into which the server writes who it is: as the writer of what it puts, and as the reader
of what it gets. So nobody else can write into its bucket, nobody but the named reader can read,
and what the server can be made to publish (a requester chooses the reply subject) stays in the requester's account.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from schemas import names, subjects
from schemas.fleet import OPERATORS_PARTS_MB, Fleet

PUT = subjects.PartPut.pattern()
GET = subjects.PartGet.pattern()
RIGHTS = (PUT, subjects.PART_NAME, GET)
"""What a user of an own account publishes to write and to read."""
_DIRECT_GET = "$JS.API.DIRECT.GET.*"
_MB = 1024**2


def rooms(fleet: Fleet) -> Mapping[str, int]:
    """Everybody who may send large parts, and the size of each bucket in bytes."""
    agents = {agent: role.parts_mb * _MB for agent, role in fleet.agents.items()}
    return agents | dict.fromkeys(fleet.operators, OPERATORS_PARTS_MB * _MB)


def exports(fleet: Fleet) -> list[dict[str, Any]]:
    """What account PARTS offers, each line to one account."""
    return [
        {"service": subject, "accounts": [names.own_account(name)]}
        for name in rooms(fleet)
        for subject, _ in _doors(name)
    ]


def imports(name: str) -> list[dict[str, Any]]:
    """How `name` reaches it from its own account."""
    return [
        {"service": {"account": names.ACCOUNT_PARTS, "subject": subject}, "to": local}
        for subject, local in _doors(name)
    ]


def _doors(name: str) -> tuple[tuple[str, str], ...]:
    """Subjects in account PARTS, and what `name` calls them."""
    read = subjects.PartChunk.pattern(reader=name)
    return (
        (subjects.PartChunk.pattern(writer=name), PUT),
        (subjects.part_names_of(name), subjects.PART_NAME),
        (f"{_DIRECT_GET}.{read}", GET),
    )


def bucket(name: str, max_bytes: int, max_age_ns: int) -> dict[str, Any]:
    """The stream behind a bucket. Nothing is thrown out early to make room. Source: ADR-20, ADR-43."""
    return {
        "name": names.parts_stream(name),
        "subjects": [f"$O.{name}.C.>", f"$O.{name}.M.>"],
        "storage": "file",
        "retention": "limits",
        "discard": "new",
        "max_bytes": max_bytes,
        "max_age": max_age_ns,
        "deny_delete": True,
        "allow_direct": True,
        "allow_msg_ttl": True,
        "duplicate_window": 120 * 1_000_000_000,
    }
