"""Cases tried at an agent in a folder: by the command, without a fleet."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agents.cli.eval_commands import run
from schemas.errors import InvalidDocument

HANDLER = """
from agents.skill import Context, skill


@skill(description="Says it louder.")
async def loud(request: str, ctx: Context) -> str:
    if request == "size?":
        return (await ctx.input_required("Which?")).text()
    if request == "other":
        return await ctx.ask("other", request)
    return request.upper()
"""
SUITE = """
agent: probe
must_pass: 0.5
cases:
  - {name: says it, ask: hello, expect: {contains: [HELLO]}}
  - {name: is exact, ask: a, expect: {exact: A}}
  - {name: asks back, ask: "size?", expect: {contains: [x]}}
  - {name: asks others, ask: other, expect: {contains: [x]}}
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """A suite, and the agent that it is for in `agent` beside it."""
    (tmp_path / "agent").mkdir()
    (tmp_path / "agent" / "handler.py").write_text(HANDLER)
    (tmp_path / "agent" / "agent.yaml").write_text("agent: {id: probe, description: d}\nhandler: handler.py:loud\n")
    (tmp_path / "suite.yaml").write_text(SUITE)
    return tmp_path / "suite.yaml"


def _run(suite: Path) -> int:
    with pytest.raises(SystemExit) as ended:
        run(suite, (Path("nowhere"), ""), suite.parent / "agent", at_once=2, is_recorded=True, as_json=True)
    return int(str(ended.value.code))


def test_the_cases_are_tried_here(suite: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What waits for somebody, and what asks others, has not passed, with the reason; nothing is put on record."""
    assert _run(suite) == 0
    told = json.loads(capsys.readouterr().out)
    tried = {one["name"]: (one["is_passed"], one["why"]) for one in told["report"]["tried"]}
    assert [passed for passed, _ in tried.values()] == [True, True, False, False]
    assert "it waits for somebody instead of answering" in tried["asks back"][1]
    assert "nobody serves other here" in tried["asks others"][1]
    assert (told["passed"], told["receipt"]) == (True, None)


def test_a_model_answers_out_of_its_budget(suite: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the models of its file; the built-in stand-in here."""
    file = "agent: {id: probe, description: d}\nllm: {system_prompt: You help., pool: [{provider: offline}]}\n"
    (suite.parent / "agent" / "agent.yaml").write_text(file)
    suite.write_text("agent: probe\ncases: [{name: answers, ask: hello, expect: {contains: [hello]}}]\n")
    assert _run(suite) == 0
    assert json.loads(capsys.readouterr().out)["cost_usd"] == 0


def test_a_suite_is_for_one_agent(suite: Path) -> None:
    """A folder with another one is refused."""
    suite.write_text(SUITE.replace("agent: probe", "agent: other"))
    with pytest.raises(InvalidDocument, match="the suite is for other"):
        run(suite, (Path("nowhere"), ""), suite.parent / "agent", at_once=2, is_recorded=True, as_json=True)
