"""What the writer is told, and that its text is its answer."""

import unittest
from pathlib import Path

from agents.testing import trial

FOLDER = Path(__file__).parents[1]


class Writer(unittest.IsolatedAsyncioTestCase):
    """No model is called: the script says what it would say."""

    async def test_its_text_is_its_answer(self) -> None:
        """The notes are what the model is asked about; the prompt forbids additions."""
        async with trial(FOLDER, model=["A bus keeps the order of each subject."]) as agent:
            self.assertEqual(await agent.ask("Notes: order"), "A bus keeps the order of each subject.")
            assert agent.model is not None
            self.assertIn("Everything you say is in the notes", agent.model.questions[0].system.text)
