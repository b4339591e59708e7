"""Agents on a terminal: what they say of themselves cannot act on it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from agents.cli.directory.commands import checked
from agents.cli.directory.render import Change, change_line, changes_between, print_agent, print_table
from agents.directory.records import AgentRecord, Agents, InstanceRecord, Shown, SkillRecord
from bus.credentials import create_credential
from bus.discovery.cards import sign_card
from schemas import a2a, protojson
from schemas.heartbeat import Heartbeat

EVIL = "\x1b[2J\r\u202egone\n"
BEAT = Heartbeat(instance="one", started=EVIL, state="ready", interval_s=30, version=EVIL)
RECORD = AgentRecord(
    agent="greeter",
    state="ready",
    since=EVIL,
    last_heard="2026-01-02T03:04:05.000Z",
    version=EVIL,
    description=EVIL,
    instances=(InstanceRecord(heartbeat=BEAT, heard_s_ago=1.0),),
    skills=(SkillRecord(id=EVIL, name=EVIL, description=EVIL, tags=(EVIL,)),),
)
CARD = a2a.AgentCard(
    name="greeter",
    description=EVIL,
    version=EVIL,
    supported_interfaces=(a2a.AgentInterface(url=EVIL, protocol_binding=EVIL, protocol_version=EVIL),),
    skills=(a2a.AgentSkill(id=EVIL, name=EVIL, description=EVIL, tags=(EVIL,), examples=(EVIL,)),),
)


def _is_harmless(printed: str) -> bool:
    return all(line.isprintable() for line in printed.splitlines()) and "gone" in printed


def test_a_table_is_a_row_per_agent(capsys: pytest.CaptureFixture[str]) -> None:
    """Controls and line breaks of an agent's words are spelt out, so a row is a line; the time is how long ago."""
    print_table(Agents((RECORD, msgspec.structs.replace(RECORD, last_heard="nonsense")), "2026-01-02T03:06:06.000Z"))
    printed = capsys.readouterr().out
    assert _is_harmless(printed)
    assert len(printed.splitlines()) == 3
    assert "2m ago" in printed


def test_a_card_is_shown_harmless(capsys: pytest.CaptureFixture[str]) -> None:
    """Every text of the card and of the heartbeat is spelt out."""
    print_agent(Shown(RECORD, msgspec.json.decode(protojson.encode(CARD))))
    printed = capsys.readouterr().out
    assert _is_harmless(printed)
    assert len(printed.splitlines()) == 9


def test_a_card_of_the_directory_is_checked_again(tmp_path: Path) -> None:
    """Whoever asks believes a card that its agent signed, not what the directory says of it; one that is no card
    neither."""
    key, other = create_credential(tmp_path / "a.nk"), create_credential(tmp_path / "b.nk")
    record = msgspec.structs.replace(RECORD, card_state="signed")

    def shown(card: bytes) -> Shown:
        return checked(Shown(record, msgspec.json.decode(card)), lambda _: key.public_key())

    signed = protojson.encode(sign_card(CARD, key))
    assert shown(signed) == Shown(record, msgspec.json.decode(signed))
    for wrong in (protojson.encode(CARD), protojson.encode(sign_card(CARD, other)), b'{"name": 5}'):
        answer = shown(wrong)
        assert (answer.card, answer.agent.card_state, answer.agent.skills) == (None, "not signed", ())
        assert answer.agent.card_problem


def test_a_change_is_told_once() -> None:
    """A heartbeat that changes neither state nor number of instances is no change; a lost instance is."""
    before = {"greeter": RECORD}
    assert not list(changes_between(before, {"greeter": msgspec.structs.replace(RECORD, last_heard="later")}, "now"))
    offline = msgspec.structs.replace(RECORD, state="offline", instances=(), reason=EVIL)
    (change,) = changes_between(before, {"greeter": offline}, "now")
    assert change == Change(time="now", agent="greeter", was="ready", state="offline", instances=0, reason=EVIL)
    assert change_line(change).isprintable()
