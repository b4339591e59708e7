"""The newsroom's pipeline with real processes and a server that speaks as a provider does: whole, killed, continued."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from agents.demo.stage import eventually
from tests.harness.fake_llm import Gate
from tests.harness.newsroom import CALLS, OUTPUT, TOKENS, USD_PER_MILLION, RunningNewsroom, running_newsroom


@pytest.fixture(scope="module")
def newsroom(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNewsroom]:
    """One for all tests here; each run has a name of its own."""
    with running_newsroom(tmp_path_factory.mktemp("newsroom")) as running:
        yield running


@pytest.fixture(autouse=True)
def _counted_anew(newsroom: RunningNewsroom) -> None:
    newsroom.fake.given = Counter()
    newsroom.fake.held.clear()


def _document(newsroom: RunningNewsroom, *options: str) -> dict[str, Any]:
    return dict(json.loads(newsroom.pipeline("--json", "--tree", *options).stdout))


def _require_once(newsroom: RunningNewsroom, document: dict[str, Any], *, was_cut: bool = False) -> None:
    """Each step's answer was given once, the text is right, and the trail's cost is what the server counted.

    `was_cut`: an agent was killed while its model answered, and nobody knows what its provider took for that.
    """
    assert dict(newsroom.fake.given) == CALLS
    assert (document["output"], document["is_good_enough"]) == (OUTPUT, True)
    steps = [(step["step"], step["round"]) for step in document["steps"]]
    assert steps == [
        ("notes", 1), ("draft", 1), ("text", 1), ("verdict", 1), ("draft", 2), ("text", 2), ("verdict", 2)
    ]  # fmt: skip
    assert len({step["task"] + step["agent"] for step in document["steps"]}) == 7
    cost = newsroom.fake.given.total() * TOKENS * USD_PER_MILLION / 1e6
    assert document["cost"]["cost_usd"] == (None if was_cut else pytest.approx(cost, abs=1e-9))
    models = [node for node in document["tree"] if node["kind"] == "model" and node["outcome"] == "success"]
    assert sum(node["facts"]["cost_usd"] for node in models) == pytest.approx(cost, abs=1e-9)
    assert len([node for node in document["tree"] if node["kind"] == "task"]) == 7


def _reached(gate: Gate) -> None:
    eventually(gate.reached.is_set, "the model is asked")


def test_the_whole_is_one_command(newsroom: RunningNewsroom) -> None:
    """Its output on standard output, how it goes on standard error, and the conversation with its cost."""
    done = newsroom.pipeline("--input", "the sky", "--run", "whole", "--tree")
    text, _, tree = done.stdout.partition("\n\n")
    assert text == OUTPUT
    assert "whole\n4 agents, 7 model calls, 77+49 tokens, 0.00126 USD" in tree
    assert "ops → judge/task-7: received, working, completed; ok" in tree
    assert "5 points of 8: again from draft" in done.stderr
    assert "7 steps, 77+49 tokens, 0.00126 USD" in done.stderr
    again = _document(newsroom, "--resume", "whole")
    _require_once(newsroom, again)
    assert all(step["done_before"] for step in again["steps"])


@pytest.mark.parametrize("role", ["researcher", "writer", "judge"])
def test_a_killed_command_is_continued(newsroom: RunningNewsroom, role: str) -> None:
    """kill -9 while a model answers: the agent goes on without it, and the next command takes up what it gave."""
    gate, run = newsroom.hold(role), f"killed-{role}"
    with newsroom.begun("--input", "the sky", "--run", run) as process:
        _reached(gate)
        process.kill()
    newsroom.release(gate)
    _require_once(newsroom, _document(newsroom, "--resume", run))


@pytest.mark.parametrize("role", ["researcher", "judge"])
def test_a_killed_agent_takes_its_step_up_again(newsroom: RunningNewsroom, role: str) -> None:
    """kill -9 of the agent while its model answers: another process of it does the step, and the run waits for that."""
    gate, run = newsroom.hold(role), f"agent-{role}"
    with newsroom.begun("--input", "the sky", "--run", run) as process:
        _reached(gate)
        os.kill(newsroom.pid(role), signal.SIGKILL)
        eventually(gate.abandoned.is_set, "nobody waits for the answer")
        assert process.wait(60) == 0
    _require_once(newsroom, _document(newsroom, "--resume", run), was_cut=True)


def test_both_killed_at_once(newsroom: RunningNewsroom) -> None:
    """The agent and the command, in the middle of the second round."""
    first = newsroom.hold("writer")
    with newsroom.begun("--input", "the sky", "--run", "both") as process:
        _reached(first)
        newsroom.release(first)
        eventually(lambda: newsroom.fake.given["writer"] == 1, "the first draft is there")
        second = newsroom.hold("writer")
        _reached(second)
        process.kill()
    os.kill(newsroom.pid("writer"), signal.SIGKILL)
    eventually(second.abandoned.is_set, "nobody waits for the answer")
    _require_once(newsroom, _document(newsroom, "--resume", "both"), was_cut=True)


def test_a_task_whose_number_was_not_written_down_is_found(newsroom: RunningNewsroom) -> None:
    """Killed in the instant after leaving a task, and continued long after: it is found at its agent, not left again."""
    newsroom.pipeline("--input", "the sky", "--run", "lost")
    journal = newsroom.fleet.home.root / "pipelines" / "lost.jsonl"
    lines = journal.read_text().splitlines()
    *others, last = [json.loads(line) for line in lines[:5]]
    assert (last["step"], last["round"]) == ("draft", 1)
    lost = json.dumps({**last, "task": "", "at_s": 1.0})
    journal.write_text("\n".join([*map(json.dumps, others), lost, ""]))
    _require_once(newsroom, _document(newsroom, "--resume", "lost"))


def test_money_that_is_over_stops_the_run(newsroom: RunningNewsroom) -> None:
    """Nothing is asked of a model that it could not pay for; with more of it the same run goes on."""
    stopped = newsroom.pipeline("--input", "the sky", "--run", "poor", "--budget", "0.001", check=False)
    assert stopped.returncode == 1
    assert "the call can cost" in stopped.stderr
    assert "it goes on with --resume poor" in stopped.stderr
    assert newsroom.fake.given.total() == 0
    document = _document(newsroom, "--resume", "poor", "--budget", "1")
    assert document["output"] == OUTPUT
    assert dict(newsroom.fake.given) == CALLS


def test_a_question_may_cost_so_much(newsroom: RunningNewsroom) -> None:
    """An operator's budget, of a request and of a durable task: too little is refused, and said."""
    fleet = newsroom.fleet
    assert fleet.run("ask", "researcher", "x", "--budget", "1").stdout == "notes\n"
    done = fleet.run("ask", "researcher", "x", "--budget", "0.001", check=False)
    assert "BUDGET_EXCEEDED" in done.stderr
    task = fleet.run("tasks", "add", "researcher", "x", "--budget", "0.001").stdout.strip()
    shown = fleet.run("tasks", "show", "researcher", task, "--wait", check=False)
    assert "rejected" in shown.stdout
    assert "--budget is no amount" in fleet.run("ask", "researcher", "x", "--budget", "x", check=False).stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--resume", "none"), "there is no run none"),
        (("--run", "Whole", "--input", "x"), "is no name of a run"),
        (("--run", "x"), "say what the pipeline is to work on"),
        (("--input", "x", "--budget", "lots"), "--budget is no amount"),
        (("--input", "x", "--run", "a", "--resume", "a"), "not both"),
    ],
)
def test_what_cannot_be_is_said(newsroom: RunningNewsroom, options: tuple[str, ...], said: str) -> None:
    """Before anything is left."""
    done = newsroom.pipeline(*options, check=False)
    assert done.returncode != 0
    assert said in done.stderr
    assert newsroom.fake.given.total() == 0
