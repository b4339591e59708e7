"""What the agent is told, and that its answer is what the model says."""

import unittest
from pathlib import Path

from agents.testing import trial

FOLDER = Path(__file__).parents[1]


class Basic(unittest.IsolatedAsyncioTestCase):
    """No model is called: the script says what it would say."""

    async def test_it_answers(self) -> None:
        """The prompt is the one in prompt.md, and the question is the caller's."""
        async with trial(FOLDER, model=["A place where messages meet."]) as agent:
            self.assertEqual(await agent.ask("What is a bus?"), "A place where messages meet.")
            assert agent.model is not None
            self.assertIn("at most five sentences", agent.model.questions[0].system.text)
