"""Members come and go: what their coming needs is made and tried, and the trail tells of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

from bus.audit.emit import Audit
from bus.audit.producer import Insider
from bus.connection import Connection
from bus.credentials import Credential
from bus.jetstream import call, found_or_none
from bus.provision.members import server_url, servers_of
from bus.provision.membership.administering import administering
from bus.provision.membership.probing import probe
from bus.provision.provision import Running, ensure_stream, patiently, write_files
from bus.provision.streams import Stream, streams_of
from bus.surroundings import Home
from schemas import names
from schemas.fleet import Fleet

WRITER = Insider(names.MEMBERSHIP, "0", is_agent=False)

What = Literal["added", "removed", "rekeyed"]
_KINDS: Final[Mapping[What, str]] = {
    "added": "member.added",
    "removed": "member.removed",
    "rekeyed": "member.rekeyed",
}


@dataclass(frozen=True, slots=True)
class Event:
    """What the trail is told: `by` is who did it, `fleet` the digest of the fleet file."""

    what: What
    member: str
    role: str
    by: str
    fleet: str


@dataclass(frozen=True, slots=True)
class Rotated:
    """The same of a key that opens no connection, with digests of what is public of the old and the new one.

    `at` is the size of the log where a key that seals it took over.
    """

    member: str
    old: str
    new: str
    by: str
    fleet: str
    at: int = 0


async def change_members(fleet: Fleet, home: Home, servers: Sequence[Running], events: Sequence[Event]) -> int:
    """Have running servers do what `fleet` says, with streams for who was added, and `events` on the trail.

    Nobody else's connection is closed; those of who is not in the fleet any more are. Returns how many imports of the
    new members were tried, each of which works.

    Raises:
        NotProvisioned: a server does not take it, an import does not work, or a stream is not what it must be.
        AuditUnavailable: the trail does not take the events.
    """
    keys = write_files(fleet, home)
    fresh = [event.member for event in events if event.what == "added"]
    async with administering(fleet, home, keys, servers) as admins:
        stores = tuple(one.store for one in servers_of(fleet, home))
        ensure = partial(ensure_stream, stores=stores)
        for stream in streams_for(fleet, fresh):
            await patiently(partial(ensure, stream=stream), admins[stream.account])
        tried = await probe(fleet, home, server_url(fleet, home), admins, fresh)
        await tell(home, admins[names.ACCOUNT_AUDIT], events)
    return tried


async def purge_streams(fleet: Fleet, home: Home, servers: Sequence[Running], member: str) -> None:
    """Delete what a member of `fleet` has in the server's store, with its consumers of streams that others have too.

    Raises:
        NotProvisioned: a server does not take provisioning's keys.
    """
    async with administering(fleet, home, write_files(fleet, home), servers) as admins:
        for stream in streams_for(fleet, [member]):
            admin = admins[stream.account]
            if await found_or_none(admin, f"STREAM.INFO.{stream.name}") is None:
                continue
            if is_of_one(stream, [member]):
                await call(admin, f"STREAM.DELETE.{stream.name}")
                continue
            for consumer in stream.consumers:
                if await found_or_none(admin, f"CONSUMER.INFO.{stream.name}.{consumer['durable_name']}"):
                    await call(admin, f"CONSUMER.DELETE.{stream.name}.{consumer['durable_name']}")


def is_of_one(stream: Stream, members: Sequence[str]) -> bool:
    """Whether the stream is one of these members' own."""
    return any(stream.account == names.own_account(name) or stream.name == names.parts_stream(name) for name in members)


def streams_for(fleet: Fleet, members: Sequence[str]) -> tuple[Stream, ...]:
    """The streams of these members, and those of all that have a consumer of theirs, with that alone."""
    found = []
    for stream in streams_of(fleet):
        consumers = tuple(one for one in stream.consumers if one["durable_name"] in members)
        if is_of_one(stream, members):
            found.append(stream)
        elif consumers:
            found.append(Stream(stream.account, stream.config, consumers))
    return tuple(found)


async def tell(home: Home, admin: Connection, events: Sequence[Event | Rotated]) -> None:
    """Write the events to the trail, and return when they are on it.

    Raises:
        AuditUnavailable: it does not take them.
    """
    credential = Credential.find(home.credentials(names.MEMBERSHIP), names.AUDIT_CREDENTIAL)
    audit = await Audit.open(admin, WRITER, credential, home.state(names.MEMBERSHIP) / "audit")
    try:
        for event in events:
            _emit_rotated(audit, event) if isinstance(event, Rotated) else _emit(audit, event)
        audit.emit("process.stopped", action="stop")
        await audit.confirm()
    finally:
        await audit.close()


def _emit(audit: Audit, event: Event) -> None:
    kind = _KINDS[event.what]
    metadata = {"role": event.role, "fleet": event.fleet}
    audit.emit(kind, action=event.what, actor=event.by, resource=event.member, metadata=metadata)


def _emit_rotated(audit: Audit, event: Rotated) -> None:
    audit.emit(
        "key.rotated", action="rotate", actor=event.by, resource=event.member,
        metadata={"old": event.old, "new": event.new, "at": event.at, "fleet": event.fleet},
    )  # fmt: skip
