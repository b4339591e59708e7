"""What an author reads where another agent answers with something else than was wanted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agents.testing import trial
from schemas.errors import InvalidAgentResponse

HANDLER = '''\
import msgspec

from agents.skill import Context, skill


class Counts(msgspec.Struct):
    words: int


@skill
async def count(request: str, ctx: Context) -> Counts:
    """Asks another agent."""
    return await ctx.ask("other", request, Counts)
'''


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("five", "other answered with something else than Counts: message.parts: no data"),
        ({"words": "five"}, "Counts: message.parts[0].data.words: Expected `int`, got `str`"),
    ],
)
async def test_it_is_told_of_the_answer(tmp_path: Path, answer: Any, said: str) -> None:
    """Whose answer, what was wanted, and where it differs."""
    (tmp_path / "agent.yaml").write_text("agent: {id: a, description: Asks.}\nhandler: handler.py:count\n")
    (tmp_path / "handler.py").write_text(HANDLER)
    with pytest.raises(InvalidAgentResponse) as failed:
        async with trial(tmp_path, others={"other": answer}) as agent:
            await agent.ask("x", dict)
    assert said in str(failed.value)
