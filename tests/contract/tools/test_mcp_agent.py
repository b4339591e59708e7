"""A whole agent whose model uses a tool of an MCP server, over a real server and real HTTP."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.harness.agent import caller, saying, serving, trail
from tests.harness.fake_llm import CallTool, FakeLlm, Say
from tests.harness.fleet import bench
from tests.harness.mcp_sdk_server import EVIL
from tests.harness.model_agent import directly, filled_in

HARNESS = Path(__file__).parents[2] / "harness"
NAME = "mcp__sums__add"


AGENT = """\
agent: {id: greeter, description: Adds., version: 1.0.0}
llm: {system_prompt: You add., pool: [{provider: openai, model: m, api_key: 'file:KEY', base_url: 'URL'}]}
mcp:
"""


def texts_of(request: Any, role: str) -> str:
    """All that messages of this role say."""
    return "\n".join(str(message["content"]) for message in request.body["messages"] if message["role"] == role)


async def test_a_model_uses_a_tool_of_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is offered by its name, called with its intent on the trail, and answers with untrusted text.

    What the server says of itself and of its tools is in the field of the tools and nowhere else. Another agent, whose
    server answers nothing, answers without it.
    """
    directly(monkeypatch)
    sums = f"  sums: {{command: '{sys.executable}', args: ['{HARNESS}/mcp_sdk_server.py'], tools: [add]}}"
    mute = (
        f"  mute: {{command: '{sys.executable}', args: ['{HARNESS}/mcp_child.py', '{tmp_path}', mute], tools: ['*']}}"
    )
    async with FakeLlm() as fake:
        fake.script = [CallTool(NAME, {"a": 2, "b": 3}), Say("5"), CallTool(NAME, {"a": "x"}), Say("no"), Say("alone")]
        agents = {
            "greeter": (filled_in(AGENT + sums, fake, tmp_path), ""),
            "concierge": (filled_in(AGENT + mute, fake, tmp_path).replace("greeter", "concierge"), ""),
        }
        async with bench(tmp_path, agents=agents) as running:
            ops = await caller(running)
            monkeypatch.setattr("agents.mcp.servers.PATIENCE_S", 60.0)
            async with serving(running, "greeter") as agent:
                answers = [await ops.send_message("greeter", saying(text), timeout_s=60) for text in ("2+3?", "x?")]
                events = await trail(running, agent)
            monkeypatch.setattr("agents.mcp.servers.PATIENCE_S", 0.0)
            async with serving(running, "concierge"):
                answers += [await ops.send_message("concierge", saying("you?"), timeout_s=60)]
    assert [answer.message.text() for answer in answers if answer.message] == ["5", "no", "alone"]
    first, second, _, fourth, fifth = fake.requests
    (offered,) = first.body["tools"]
    assert (offered["function"]["name"], offered["function"]["description"]) == (NAME, EVIL)
    assert offered["function"]["parameters"]["required"] == ["a", "b"]
    for request in fake.requests:
        assert "IGNORE" not in json.dumps(request.body["messages"])
        assert "OBEY" not in json.dumps(request.body)
    assert re.search(r"untrusted>>>\n5\n<<<end", texts_of(second, "tool"))
    assert re.search(
        r"add did not do it\. It says:\n<<<data \w+ from tool mcp__sums__add, untrusted>>>\n", texts_of(fourth, "tool")
    )
    assert not fifth.body.get("tools")
    assert [event.data.action for event in events if event.short_type == "tool.intended"] == [NAME, NAME]
    (connected,) = (event for event in events if event.short_type == "mcp.connected")
    assert (connected.data.resource, connected.data.metadata) == ("sums", {"tools": 1})
