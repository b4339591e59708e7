"""The form of a verdict."""

import unittest
from pathlib import Path

from agents.testing import trial
from schemas.errors import InvalidAgentResponse

FOLDER = Path(__file__).parents[1]


class Judge(unittest.IsolatedAsyncioTestCase):
    """No model is called: the script says what it would say."""

    async def test_a_verdict_is_data(self) -> None:
        """Points and a reason."""
        async with trial(FOLDER, model=['{"points": 7, "reason": "The second sentence says nothing."}']) as agent:
            verdict = await agent.ask("Judge an answer by this rubric: it is kind.", dict)
        self.assertEqual(verdict["points"], 7)

    async def test_what_is_no_verdict_is_refused(self) -> None:
        """Too many points, no reason, and no data at all."""
        for said in ('{"points": 11, "reason": "r"}', '{"points": 7}', "Seven points."):
            async with trial(FOLDER, model=[said]) as agent:
                with self.assertRaises(InvalidAgentResponse):
                    await agent.ask("x", dict)
