"""Agents' folders as tar archives, made from texts, for whatever tries them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from approvals.trial.tree_tar import tar_of_folder

AGENT = "probe"
AGENT_FILE = f"agent: {{id: {AGENT}, description: Tries things., version: 1.0.0}}\nhandler: handler.py:echo\n"
HANDLER = """\
from agents.skill import Context, skill


@skill(description="Says the same.")
async def echo(request: str, ctx: Context) -> str:
    return request
"""


def tree(folder: Path, files: Mapping[str, str]) -> bytes:
    """The archive of a sound agent with `files` besides, or instead; `folder` does not exist yet."""
    for path, text in {"agent.yaml": AGENT_FILE, "handler.py": HANDLER, **files}.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    return tar_of_folder(folder)
