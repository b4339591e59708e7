"""A model server for tests: real HTTP/1.1 on loopback, the two wire formats, and scripted answers.

`POST /v1/chat/completions` and `POST /v1/messages` are checked as the real services check them (key,
required fields, every tool call followed by its result) and answered with the next step of the script,
streamed where the request asks for it; what is wrong gets the service's own form of error. The list of
models (`GET /v1/models`) and `POST /v1/messages/count_tokens` are there as well.

    async with FakeLlm() as llm:
        llm.script += [CallTool("add", {"a": 1}), Say("done")]
        … base_url=llm.openai_url or llm.anthropic_url, api_key=llm.api_key …
        assert llm.requests[0].body["model"] == "m-1"

A `Gate` holds an answer back until the test lets it go:

    gate = Gate(); llm.script.append(Held(Say("late"), gate))
    task = asyncio.create_task(ask()); await gate.reached.wait(); …; gate.release.set()
"""

from .server import PROXY_VARIABLES, FakeLlm, Request
from .steps import CallTool, Cut, Drip, Fail, FailMidway, Gate, Held, Raw, Say, Step, Wire

__all__ = [
    "PROXY_VARIABLES",
    "CallTool",
    "Cut",
    "Drip",
    "Fail",
    "FailMidway",
    "FakeLlm",
    "Gate",
    "Held",
    "Raw",
    "Request",
    "Say",
    "Step",
    "Wire",
]
