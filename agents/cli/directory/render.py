"""Agents as a person reads them: a table, one agent in full, a line per change. What they say of themselves is harmless."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping

import msgspec

from agents.cli.shown import is_colourful
from agents.directory.records import AgentRecord, Agents, InstanceRecord, Presence, Shown
from schemas import a2a, protojson
from schemas.text import harmless

_COLOURS: dict[Presence, str] = {"ready": "32", "draining": "33", "offline": "31"}
_NOT_SIGNED = "card not signed by it"
_HEAD = ("AGENT", "STATE", "INSTANCES", "VERSION", "HEARD", "SKILLS")


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What has become of an agent. `was` is empty where it is the first that is told of it."""

    time: str
    agent: str
    was: Presence | str
    state: Presence
    instances: int
    reason: str


def changes_between(before: Mapping[str, AgentRecord], after: Mapping[str, AgentRecord], now: str) -> Iterator[Change]:
    """A change for each agent whose state or number of instances is another."""
    for agent, record in sorted(after.items()):
        old = before.get(agent)
        if old is None or (old.state, len(old.instances)) != (record.state, len(record.instances)):
            yield Change(
                time=now, agent=agent, was=old.state if old else "", state=record.state,
                instances=len(record.instances), reason=record.reason,
            )  # fmt: skip


def change_line(change: Change) -> str:
    """A change as one line."""
    was = f"{change.was} → " if change.was and change.was != change.state else ""
    about = harmless(change.reason) if change.state == "offline" else _counted(change.instances)
    return (
        f"{change.time}  {harmless(change.agent):<25}  {was}{_coloured(change.state, change.state)}  {about}".rstrip()
    )


def print_table(answer: Agents) -> None:
    """A row per agent."""
    rows = [_row(record, answer.as_of) for record in answer.agents]
    widths = [max(len(row[column]) for row in (_HEAD, *rows)) for column in range(len(_HEAD))]
    for record, row in zip((None, *answer.agents), (_HEAD, *rows), strict=True):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        if record is not None:
            cells[1] = _coloured(record.state, cells[1])
        print("  ".join(cells).rstrip())


def _row(record: AgentRecord, now: str) -> tuple[str, ...]:
    skills = ", ".join(skill.id for skill in record.skills) or _without_card(record) or "-"
    return (
        harmless(record.agent), record.state, str(len(record.instances)), harmless(record.version) or "-",
        _ago(record.last_heard, now), harmless(skills),
    )  # fmt: skip


def print_agent(shown: Shown) -> None:
    """One agent: what is known of it now, then what its card says.

    Raises:
        InvalidArgument: the card is not one.
    """
    record = shown.agent
    lines = [f"{harmless(record.agent)} is {_coloured(record.state, record.state)}" + _since(record)]
    lines += [_instance(instance) for instance in record.instances]
    if shown.card is None:
        lines += [_field(_NOT_SIGNED if record.card_state == "not signed" else "card missing", record.card_problem)]
    else:
        lines += [_field("card", "signed by it"), _field("asked again", record.card_problem)]
        lines += _card(protojson.decode(msgspec.json.encode(shown.card), a2a.AgentCard))
    print("\n".join(line for line in lines if line))


def _card(card: a2a.AgentCard) -> list[str]:
    return [
        _field("about", card.description),
        _field("version", card.version),
        *(_field("reached at", interface.url) for interface in card.supported_interfaces),
        *(line for skill in card.skills for line in _skill(skill)),
    ]


def _without_card(record: AgentRecord) -> str:
    return _NOT_SIGNED if record.card_state == "not signed" else record.card_problem


def _since(record: AgentRecord) -> str:
    since = f" since {harmless(record.since)}" if record.since else ""
    return f"{since}: {harmless(record.reason)}" if record.reason else since


def _instance(instance: InstanceRecord) -> str:
    beat = instance.heartbeat
    load = f"{beat.running} running, {beat.queued} waiting, {beat.streams} streams"
    return (
        f"  instance {beat.slot}  {beat.state}, {load}; heard {instance.heard_s_ago:.0f} s ago, "
        f"started {harmless(beat.started)}, version {harmless(beat.version)}"
    )


def _field(name: str, value: str) -> str:
    return f"{name:<13} {harmless(value)}" if value else ""


def _skill(skill: a2a.AgentSkill) -> list[str]:
    return [
        _field("skill", f"{skill.id}: {skill.description}"),
        _field("  tags", ", ".join(skill.tags)),
        *(_field("  example", example) for example in skill.examples),
    ]


def _ago(moment: str, now: str) -> str:
    if not moment:
        return "never"
    try:
        passed = datetime.datetime.fromisoformat(now) - datetime.datetime.fromisoformat(moment)
    except (ValueError, TypeError):
        return "?"
    seconds = max(0, int(passed.total_seconds()))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size}{unit} ago"
    return f"{seconds}s ago"


def _counted(instances: int) -> str:
    return "1 instance" if instances == 1 else f"{instances} instances"


def _coloured(state: Presence, text: str) -> str:
    return f"\x1b[{_COLOURS[state]}m{text}\x1b[0m" if is_colourful() else text
