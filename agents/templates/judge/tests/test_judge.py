"""The form of a verdict."""

import unittest
from pathlib import Path

from agents.testing import trial
from schemas.errors import InvalidAgentResponse

FOLDER = Path(__file__).parents[1]


class Judge(unittest.IsolatedAsyncioTestCase):
    """No model is called: the script says what it would say."""

    async def test_a_verdict_is_data(self) -> None:
        """Points and remarks; for an evaluation, points and a reason."""
        async with trial(FOLDER, model=['{"points": 7, "remarks": "Cut the second sentence."}']) as agent:
            self.assertEqual((await agent.ask({"text": "A text."}, dict))["points"], 7)
        async with trial(FOLDER, model=['{"points": 3, "reason": "It is not kind."}']) as agent:
            self.assertEqual((await agent.ask("Is it kind? Go away.", dict, skill="score"))["points"], 3)

    async def test_what_is_no_verdict_is_refused(self) -> None:
        """Too many points, no remarks, and no data at all."""
        for said in ('{"points": 11, "remarks": "r"}', '{"points": 7}', "Seven points."):
            async with trial(FOLDER, model=[said]) as agent:
                with self.assertRaises(InvalidAgentResponse):
                    await agent.ask({"text": "A text."}, dict)
