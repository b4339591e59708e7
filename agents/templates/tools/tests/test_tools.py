"""What the agent does with its tools, and what it may not."""

import unittest
from pathlib import Path

from agents.testing import Step, calls, trial

FOLDER = Path(__file__).parents[1]


class Notes(unittest.IsolatedAsyncioTestCase):
    """The tools run as they would; the workspace is an empty one."""

    async def test_what_is_written_is_found_again(self) -> None:
        """A note goes into a file, and comes back from it."""
        script: list[Step] = [
            calls("write", path="notes/release.md", content="Friday"),
            calls("read", path="notes/release.md"),
            "On Friday.",
        ]
        async with trial(FOLDER, model=script) as agent:
            self.assertEqual(await agent.ask("The release is on Friday. When is it?"), "On Friday.")
            self.assertEqual([result.is_error for result in agent.tool_results], [False, False])
            self.assertIn("Friday", agent.tool_results[1].text)

    async def test_it_writes_notes_and_nothing_else(self) -> None:
        """Another place is refused, whatever the model wants; the model is told."""
        script: list[Step] = [calls("write", path="elsewhere.md", content="x"), "I may not."]
        async with trial(FOLDER, model=script) as agent:
            await agent.ask("Write to elsewhere.md")
            self.assertTrue(agent.tool_results[0].is_error)
