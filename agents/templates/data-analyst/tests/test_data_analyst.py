"""What the analyst may use, and that what it writes is what it reads."""

import unittest
from pathlib import Path

from agents.testing import Step, calls, trial

FOLDER = Path(__file__).parents[1]


class Analyst(unittest.IsolatedAsyncioTestCase):
    """The files are real; commands are not run here, since a sandbox in the sandbox of the tests is not to be had."""

    async def test_it_works_with_files(self) -> None:
        """Data goes into a file and is read from it."""
        script: list[Step] = [
            calls("write", path="data.csv", content="a,b\n1,2\n"),
            calls("read", path="data.csv"),
            "The mean of b is 2 (1 row).",
        ]
        async with trial(FOLDER, model=script) as agent:
            self.assertIn("mean of b is 2", await agent.ask("a,b\n1,2\nWhat is the mean of b?"))
            self.assertIn("1,2", agent.tool_results[1].text)

    async def test_it_may_compute_and_nothing_more(self) -> None:
        """The model is offered three tools."""
        async with trial(FOLDER, model=["Two."]) as agent:
            await agent.ask("1+1?")
            assert agent.model is not None
            self.assertEqual({tool.name for tool in agent.model.questions[0].tools}, {"read", "write", "bash"})
