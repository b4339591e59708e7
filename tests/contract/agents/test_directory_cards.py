"""What the directory keeps of the cards that it was given, over the real bus."""

from __future__ import annotations

import msgspec

from agents.directory.cards import Cards
from agents.directory.records import CardState
from bus.background import Background
from bus.connection import Msg
from bus.credentials import Credential, create_credential
from bus.discovery.agent_keys import AgentKeys
from bus.discovery.cards import sign_card
from schemas import a2a, names, protojson, subjects
from schemas.heartbeat import Heartbeat
from tests.harness.agent import caller
from tests.harness.fleet import Bench, until

CARD = a2a.AgentCard(
    name="textstats", description="Counts.", version="1.0.0",
    supported_interfaces=(a2a.AgentInterface(url="nats:x", protocol_binding="N", protocol_version="1.0"),),
)  # fmt: skip
BEAT = Heartbeat(instance="one", started="now", state="ready", interval_s=30)


async def test_a_card_that_was_not_believed_is_asked_again(fleet_bench: Bench) -> None:
    """One card that the agent did not sign takes the believed one away, whatever it says besides; as soon as an
    instance gives a signed one, also one that gave it before, that counts."""
    key = Credential.find(fleet_bench.home.credentials("textstats"), names.BUS_CREDENTIAL)
    signed = sign_card(CARD, key)
    foreign = sign_card(CARD, create_credential(fleet_bench.home.root / "stranger.nk"))
    given = signed
    bus, answering = await fleet_bench.connect("textstats"), Background()

    def answer(message: Msg) -> None:
        headers = {names.A2A_VERSION: a2a.PROTOCOL_VERSION}
        answering.begin(bus.publish(message.reply, protojson.encode(given), headers=headers))

    await bus.subscribe(subjects.Request.pattern(agent="textstats"), answer)
    await bus.flush()
    cards = Cards(await caller(fleet_bench, "directory"), AgentKeys(fleet_bench.home.agent_keys))

    async def becomes(state: CardState) -> None:
        async def has_become() -> bool:
            return cards.state("textstats") == state

        await until(has_become)

    first, second = BEAT, msgspec.structs.replace(BEAT, instance="two", slot="1")
    for wrong in (CARD, foreign, msgspec.structs.replace(signed, description="Counts more.")):
        given = signed
        cards.heard("textstats", first)
        await becomes("signed")
        assert cards.card("textstats") == signed
        given = wrong
        cards.heard("textstats", second)
        await becomes("not signed")
        assert cards.card("textstats") is None
        assert "no valid signature" in cards.problem("textstats")
    given = signed
    cards.heard("textstats", first)
    await becomes("signed")
    assert not cards.problem("textstats")
    await cards.close()
    await answering.settle()
