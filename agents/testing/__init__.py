"""Test an agent without a bus, a server or a key: its own code and file, a scripted model, everything recorded.

async with trial(Path(__file__).parents[1], model=[calls("read", path="a.md"), "Done."]) as agent:
    assert await agent.ask("summarise a.md") == "Done."
    assert agent.tool_results[0].name == "read"

Works in the sandbox of `agentbus agent check`: nothing here opens a connection.
"""

from .others import Request
from .script import Script, Step, calls
from .surroundings import Event
from .trial import Trial, trial

__all__ = ["Event", "Request", "Script", "Step", "Trial", "calls", "trial"]
