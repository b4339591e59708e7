"""The skill, as its caller sees it."""

import json
import unittest
from pathlib import Path

from agents.testing import trial
from schemas.errors import InvalidArgument

FOLDER = Path(__file__).parents[1]


class Summarise(unittest.IsolatedAsyncioTestCase):
    """Values go in and come out as data."""

    async def test_numbers_are_summarised(self) -> None:
        """Count, mean, smallest and largest."""
        async with trial(FOLDER) as agent:
            found = await agent.ask({"numbers": [1, 2, 6]}, dict)
        self.assertEqual(found, {"count": 3, "mean": 3.0, "smallest": 1.0, "largest": 6.0})

    async def test_what_does_not_fit_is_refused(self) -> None:
        """No numbers, and what is none."""
        async with trial(FOLDER) as agent:
            for wrong in ('{"numbers": []}', '{"numbers": ["a"]}', '{"nubmers": [1]}'):
                with self.assertRaises(InvalidArgument):
                    await agent.ask(json.loads(wrong), dict)
