"""That a conversation is remembered, and each customer's is its own."""

import unittest
from pathlib import Path

from agents.testing import trial

FOLDER = Path(__file__).parents[1]


class Support(unittest.IsolatedAsyncioTestCase):
    """No model is called: the script says what it would say."""

    async def test_a_conversation_goes_on(self) -> None:
        """The second question of a conversation is asked with the first one."""
        async with trial(FOLDER, model=["Which invoice?", "Thank you."]) as agent:
            await agent.ask("My invoice is wrong.", context_id="c")
            await agent.ask("The one of May.", context_id="c")
            assert agent.model is not None
            self.assertEqual([len(question.turns) for question in agent.model.questions], [1, 3])

    async def test_customers_do_not_see_each_other(self) -> None:
        """Another caller begins anew, also under the same name of the conversation."""
        async with trial(FOLDER, model=["Hello Ann.", "Hello."]) as agent:
            agent.caller = "ann"
            await agent.ask("I am Ann.", context_id="c")
            agent.caller = "ben"
            await agent.ask("Who am I?", context_id="c")
            assert agent.model is not None
            self.assertEqual(len(agent.model.questions[1].turns), 1)
