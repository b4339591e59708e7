"""Whom a message goes to: those whom the directory knows, the next one while one is away."""

import unittest
from pathlib import Path

from agents.directory.records import AgentRecord, Agents, SkillRecord
from agents.testing import trial
from bus.errors import NobodyServes
from schemas.errors import A2AError

FOLDER = Path(__file__).parents[1]


def known(*agents: str) -> Agents:
    """What the directory answers: each of these can translate."""
    skill = SkillRecord(id="translate", name="Translate", description="Translates.", tags=("language",))
    records = tuple(AgentRecord(agent=name, state="ready", skills=(skill,)) for name in agents)
    return Agents(as_of="", agents=records)


class Router(unittest.IsolatedAsyncioTestCase):
    """The other agents answer what the test says."""

    async def test_a_message_goes_to_who_has_the_skill(self) -> None:
        """The other agent gets it as it is; its answer comes back."""
        async with trial(FOLDER, others={"directory": known("polyglot"), "polyglot": "Guten Tag"}) as agent:
            self.assertEqual(await agent.ask("Good day", skill="translate"), "Guten Tag")
            self.assertEqual((agent.asked[-1].agent, agent.asked[-1].text), ("polyglot", "Good day"))

    async def test_the_next_one_is_asked_while_one_is_away(self) -> None:
        """And when nobody is left, the caller is told."""
        away = NobodyServes("away")
        async with trial(FOLDER, others={"directory": known("a", "b"), "a": away, "b": "Guten Tag"}) as agent:
            self.assertEqual(await agent.ask("Good day", skill="translate"), "Guten Tag")
        async with trial(FOLDER, others={"directory": known("a"), "a": away}) as agent:
            with self.assertRaises(A2AError):
                await agent.ask("Good day", skill="translate")

    async def test_without_a_skill_nothing_is_guessed(self) -> None:
        """The caller is told what to name."""
        async with trial(FOLDER, others={"directory": known("a")}) as agent:
            with self.assertRaises(A2AError) as refused:
                await agent.ask("Good day")
            self.assertIn("name one", str(refused.exception))
