"""The card that a running agent serves."""

from __future__ import annotations

from bus.credentials import Credential
from bus.discovery.cards import verify_card
from schemas import a2a, protojson
from tests.harness.fleet import RunningFleet
from tests.system.one_fleet.test_micro import _nats


def test_the_served_card_is_signed(fleet: RunningFleet) -> None:
    """A plain tool gets a card that the agent's provisioned key on the bus has signed."""
    key = next(path for path in fleet.home.contexts.parent.rglob("bus.nk") if "textstats" in str(path))
    subject = "a2a.v1.req.textstats.ops.GetExtendedAgentCard"
    body = _nats(fleet, "req", "--raw", "-H", "A2A-Version:1.0", subject, "{}")
    card = protojson.decode(body.encode(), a2a.AgentCard)
    verify_card(card, agent="textstats", public_key=Credential(key).public_key())
