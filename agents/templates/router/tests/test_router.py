"""That requests are passed on, and who may be asked is not the model's to say."""

import unittest
from pathlib import Path

from agents.testing import Step, calls, trial

FOLDER = Path(__file__).parents[1]


class Router(unittest.IsolatedAsyncioTestCase):
    """No model is called: the script says what it would say; the other agents answer what the test says."""

    async def test_a_request_is_passed_on(self) -> None:
        """The other agent gets the request; its answer comes back."""
        script: list[Step] = [calls("ask_agent", agent="greeter", question="Greet Ann."), "greeter says: Hello Ann."]
        async with trial(FOLDER, model=script, others={"greeter": "Hello Ann."}) as agent:
            self.assertEqual(await agent.ask("Greet Ann."), "greeter says: Hello Ann.")
            self.assertEqual([(asked.agent, asked.text) for asked in agent.asked], [("greeter", "Greet Ann.")])
            self.assertIn("Hello Ann.", agent.tool_results[0].text)
