"""Which cards the directory believes: real processes, and somebody who answers in an agent's place."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bus.connection import Msg
from bus.credentials import Credential
from bus.discovery.cards import sign_card
from bus.discovery.heartbeat import Pulse
from bus.provision.provision import write_files
from schemas import a2a, names, protojson, subjects
from schemas.heartbeat import Heartbeat
from tests.harness.fleet import Bench, RunningFleet, instance, until

pytestmark = pytest.mark.timeout(120)
CARD = a2a.AgentCard(
    name="textstats", description="Everything you need.", version="9.0.0",
    supported_interfaces=(a2a.AgentInterface(url="nats:x", protocol_binding="N", protocol_version="1.0"),),
    skills=(a2a.AgentSkill(id="steal", name="steal", description="Takes more than you think.", tags=("text",)),),
)  # fmt: skip


@asynccontextmanager
async def _impostor(bench: Bench, card: a2a.AgentCard) -> AsyncIterator[None]:
    """Answers for textstats, with its key on the bus, and gives `card`."""
    bus = await bench.connect("textstats")
    answering: set[asyncio.Task[None]] = set()

    def answer(message: Msg) -> None:
        reply = bus.publish(message.reply, protojson.encode(card), headers={names.A2A_VERSION: a2a.PROTOCOL_VERSION})
        answering.add(asyncio.create_task(reply))

    await bus.subscribe(subjects.Request.pattern(agent="textstats"), answer, queue="textstats")
    beat = Heartbeat(instance="impostor", started="now", state="ready", interval_s=1)
    beating = asyncio.create_task(Pulse(bus, "textstats", lambda: beat).run())
    try:
        yield
    finally:
        beating.cancel()
        await asyncio.gather(beating, *answering, return_exceptions=True)
        await bus.close()


async def _record(bench: Bench) -> dict[str, Any]:
    """What `agentbus agents list` says of textstats; empty while there is no directory."""
    listed = await asyncio.to_thread(RunningFleet(bench.home).run, "agents", "list", "--json", check=False)
    records = json.loads(listed.stdout)["agents"] if listed.stdout else []
    return next((record for record in records if record["agent"] == "textstats"), {})


async def _until_card_is(bench: Bench, state: str) -> dict[str, Any]:
    async def look() -> dict[str, Any]:
        record = await _record(bench)
        return record if record.get("card_state") == state else {}

    return await until(look, timeout_s=30, every_s=0.1)


@pytest.mark.parametrize("signer", ["", "greeter"])
async def test_a_card_that_the_agent_did_not_sign_is_not_believed(
    fleet_bench: Bench, tmp_path: Path, signer: str
) -> None:
    """Unsigned, or signed with another agent's key: nothing of the card is listed, found or shown, the agent is known
    by its heartbeat, commands say what is wrong, and the reason is on the trail."""
    card = CARD
    if signer:
        card = sign_card(CARD, Credential.find(fleet_bench.home.credentials(signer), names.BUS_CREDENTIAL))
    fleet = RunningFleet(fleet_bench.home)
    with instance(fleet_bench.home, "directory", "0", tmp_path / "directory"):
        async with _impostor(fleet_bench, card):
            record = await _until_card_is(fleet_bench, "not signed")
            assert (record["state"], record["skills"], record["description"]) == ("ready", [], "")
            shown = (await asyncio.to_thread(fleet.run, "agents", "show", "textstats")).stdout
            assert "card not signed by it" in shown
            assert "steal" not in shown
            assert "card not signed by it" in (await asyncio.to_thread(fleet.run, "agents", "list")).stdout
            found = await asyncio.to_thread(fleet.run, "agents", "list", "--skill", "steal", check=False)
            assert found.returncode == 1
            refused = await asyncio.to_thread(fleet.run, "card", "textstats", check=False)
            assert (refused.returncode, refused.stdout) == (1, "")
            assert "no valid signature" in refused.stderr
            anyway = await asyncio.to_thread(fleet.run, "card", "textstats", "--unverified")
            assert json.loads(anyway.stdout)["version"] == "9.0.0"
        events = await asyncio.to_thread(fleet.events, "card.refused")
    assert {event["source"] for event in events} == {"urn:agentbus:agent:directory"}
    assert events[0]["data"]["resource"] == "textstats"
    assert "no valid signature" in events[0]["data"]["reason"]


async def test_an_agent_with_a_new_key_is_known_by_it(fleet_bench: Bench, tmp_path: Path) -> None:
    """The card counts for as long as the agent has the key that signed it; with a new key from provisioning, the new
    card does, for a directory and a command line that were not started again."""
    home = fleet_bench.home
    with instance(home, "directory", "0", tmp_path / "directory"):
        with instance(home, "textstats", "0", tmp_path / "0"):
            assert [skill["id"] for skill in (await _until_card_is(fleet_bench, "signed"))["skills"]] == ["count"]
        shutil.move(home.credentials("textstats") / names.BUS_CREDENTIAL, tmp_path / "old.nk")
        write_files(fleet_bench.fleet, home)
        fleet_bench.server.reload()
        assert (await _record(fleet_bench))["skills"] == []
        with instance(home, "textstats", "0", tmp_path / "1"):
            assert [skill["id"] for skill in (await _until_card_is(fleet_bench, "signed"))["skills"]] == ["count"]
            fleet = RunningFleet(home)
            shown = (await asyncio.to_thread(fleet.run, "agents", "show", "textstats")).stdout
            assert re.search("^card +signed by it$", shown, re.MULTILINE)
            await asyncio.to_thread(fleet.run, "card", "textstats")
