"""What the researcher is told, and that its notes reach whoever asked."""

import unittest
from pathlib import Path

from agents.testing import trial

FOLDER = Path(__file__).parents[1]
NOTES = "# Order\n## Notes\n- Each subject keeps its order — source: general knowledge — likely"


class Researcher(unittest.IsolatedAsyncioTestCase):
    """No model is called: the script says what it would say."""

    async def test_its_notes_are_its_answer(self) -> None:
        """The prompt asks for sources, and the answer is the notes."""
        async with trial(FOLDER, model=[NOTES]) as agent:
            self.assertEqual(await agent.ask("How do message buses keep order?"), NOTES)
            assert agent.model is not None
            self.assertIn("never make up a title", agent.model.questions[0].system.text)
