"""What the editor is told, and that the text comes back."""

import unittest
from pathlib import Path

from agents.testing import trial

FOLDER = Path(__file__).parents[1]


class Editor(unittest.IsolatedAsyncioTestCase):
    """No model is called: the script says what it would say."""

    async def test_the_text_comes_back(self) -> None:
        """What is edited is what the caller sent; the prompt keeps facts as they are."""
        async with trial(FOLDER, model=["Buses keep order."]) as agent:
            self.assertEqual(await agent.ask("It is the case that order is kept by buses."), "Buses keep order.")
            assert agent.model is not None
            self.assertIn("Do not change what it says", agent.model.questions[0].system.text)
