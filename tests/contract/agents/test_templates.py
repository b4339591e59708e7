"""Every template on a real fleet: provisioned, served, and asked by an operator."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from agents.cli.agent.new import Where, new, templates
from schemas import a2a
from tests.harness.agent import caller, saying, sending, serving
from tests.harness.fleet import bench


async def test_all_templates_serve_on_one_fleet(tmp_path: Path) -> None:
    """Each has its account and its card; without keys the stand-in answers, and a router finds nobody it may not ask."""
    names = sorted(templates())

    def with_templates(document: dict[str, Any]) -> None:
        document["agents"] = {name: {} for name in names}

    def folders(agents: Path) -> None:
        for name in names:
            new(name, name, Where(agents))

    async with bench(tmp_path, with_templates, folders=folders) as fleet, AsyncExitStack() as stack:
        for name in names:
            await stack.enter_async_context(serving(fleet, name))
        ops = await caller(fleet)
        cards = {name: (await ops.get_card(name)).name for name in names}
        assert cards == {name: name for name in names}
        for name in ("basic", "tools", "customer-support", "writer"):
            assert _text(await ops.send_message(name, saying("hello"))) == "Hi there! You said: hello"
        answer = (await ops.send_message("python", sending({"numbers": [1, 2, 6]}))).message
        assert answer is not None
        assert answer.parts[0].data == {"count": 3, "mean": 3.0, "smallest": 1.0, "largest": 6.0}


def _text(response: a2a.SendMessageResponse) -> str:
    assert response.message is not None
    return response.message.text()
