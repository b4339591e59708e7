"""The form of a review, in and out."""

import json
import unittest
from pathlib import Path

from agents.testing import trial
from schemas.errors import InvalidAgentResponse, InvalidArgument

FOLDER = Path(__file__).parents[1]
FINDING = {"file": "a.py", "line": 3, "severity": "bug", "problem": "Off by one.", "suggestion": "Use <=."}
REVIEW = {"verdict": "change", "summary": "Counts.", "findings": [FINDING]}


class Reviewer(unittest.IsolatedAsyncioTestCase):
    """No model is called: the script says what it would say."""

    async def test_a_review_is_data(self) -> None:
        """Findings by file and line."""
        async with trial(FOLDER, model=[json.dumps(REVIEW)]) as agent:
            self.assertEqual(await agent.ask({"diff": "--- a\n+++ b\n"}, dict), REVIEW)

    async def test_other_forms_are_refused(self) -> None:
        """A request without a diff costs nothing; a review of another form is an error instead of data."""
        async with trial(FOLDER, model=[json.dumps({**REVIEW, "verdict": "fine"})]) as agent:
            with self.assertRaises(InvalidArgument):
                await agent.ask({"dif": "x"}, dict)
            with self.assertRaises(InvalidAgentResponse):
                await agent.ask({"diff": "x"}, dict)
