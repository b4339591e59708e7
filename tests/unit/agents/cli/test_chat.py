"""What `agentbus chat` shows: the bar at its exact limits, sums that may be unknown, answers that begin anew."""

from __future__ import annotations

import sys
from decimal import Decimal
from typing import Any

import pytest

from agents.cli.chat.dialogue import Answer, Cost
from agents.cli.chat.screen import Plain, Terminal, bar_of, context_bar
from agents.cli.chat.slash import cost_line
from schemas import a2a, names
from schemas.errors import Internal
from schemas.usage import USAGE_KEY


@pytest.fixture
def _at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.delenv("NO_COLOR", raising=False)


def update(
    text: str, *, append: bool, artifact: str = "t.1", metadata: dict[str, Any] | None = None
) -> a2a.StreamResponse:
    """A piece of an answer."""
    piece = a2a.Artifact(artifact_id=artifact, parts=(a2a.Part(text=text),))
    event = a2a.TaskArtifactUpdateEvent(
        task_id="t", context_id="c", artifact=piece, append=append, metadata=metadata or {}
    )
    return a2a.StreamResponse(artifact_update=event)


@pytest.mark.usefixtures("_at_a_terminal")
@pytest.mark.parametrize(
    ("used", "colour"),
    [(0, "32"), (69_999, "32"), (70_000, "33"), (89_999, "33"), (90_000, "31"), (100_000, "31"), (250_000, "31")],
)
def test_the_bar_is_green_then_yellow_then_red(used: int, colour: str) -> None:
    """Green below 70 %, yellow below 90 %, red from there on."""
    bar = context_bar(used, 100_000)
    assert f"\x1b[{colour}m{100 * used / 100_000:.0f} %\x1b[0m of 100,000 tokens" in bar
    assert bar.count("█") + bar.count("░") == 20


@pytest.mark.usefixtures("_at_a_terminal")
def test_there_is_no_colour_for_who_said_no(monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_COLOR counts."""
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in context_bar(95_000, 100_000)


@pytest.mark.parametrize(
    "memory",
    [
        None,
        7,
        {},
        {"context_used": 1},
        {"context_used": 1, "context_window": 0},
        {"context_used": "1", "context_window": 5},
    ],
)
def test_an_agent_that_tells_nothing_has_no_bar(memory: object) -> None:
    """Whatever stands in the metadata."""
    assert bar_of(Answer(metadata={names.MEMORY_KEY: memory})) == ""


def test_an_answer_is_put_together() -> None:
    """Pieces follow each other; one that does not append takes the place of what was there; metadata may come anywhere."""
    answer = Answer()
    for piece in (
        update("He", append=False),
        update("llo", append=True),
        update("Anew", append=False, metadata={USAGE_KEY: {"input_tokens": 3}}),
    ):
        answer.take(piece)
    assert answer.text == "Anew"
    assert answer.metadata == {USAGE_KEY: {"input_tokens": 3}}
    note = a2a.Message(message_id="m", role="ROLE_AGENT", parts=(a2a.Part(text="which one?"),))
    status = a2a.TaskStatus(state=a2a.INPUT_REQUIRED, message=note)
    asked = Answer()
    asked.take(a2a.StreamResponse(status_update=a2a.TaskStatusUpdateEvent(task_id="t", context_id="c", status=status)))
    assert (asked.text, asked.state) == ("which one?", a2a.INPUT_REQUIRED)


def test_sums_are_unknown_as_soon_as_a_part_is() -> None:
    """Unknown is not 0; the sums of dollars are exact."""
    cost = Cost()
    assert cost_line(cost) == "0 answers, 0 input tokens, 0 output tokens, 0 USD"
    for _ in range(3):
        cost.add(
            {
                USAGE_KEY: {
                    "input_tokens": 900,
                    "output_tokens": 2,
                    "cost_usd": 0.1,
                    "chain": {"requests": 1, "input_tokens": 100},
                }
            }
        )
    assert cost.usd == Decimal("0.3")
    assert cost_line(cost) == "3 answers, 3,000 input tokens, 6 output tokens, 0.3 USD"
    cost.add({})  # a skill that asks no model
    assert cost_line(cost) == "4 answers, 3,000 input tokens, 6 output tokens, 0.3 USD"
    cost.add({USAGE_KEY: {"input_tokens": 1_000, "output_tokens": None, "cost_usd": None}})
    assert cost_line(cost) == "5 answers, 4,000 input tokens, unknown output tokens, unknown cost"
    cost.add({USAGE_KEY: "nonsense"})
    assert cost_line(cost) == "6 answers, unknown input tokens, unknown output tokens, unknown cost"


def test_what_begins_anew_is_said_to_a_person(capsys: pytest.CaptureFixture[str]) -> None:
    """Another model took over: what stands above is void. Another artifact stands on a line of its own."""
    pieces = (
        update("He", append=False), update("llo", append=True), update("Anew", append=False),
        update("x", append=False, artifact="2"),
    )  # fmt: skip
    screen, answer = Terminal("greeter"), Answer(state=a2a.COMPLETED)
    for piece in pieces:
        screen.show(piece)
        answer.take(piece)
    screen.end(answer)
    assert capsys.readouterr().out == "Hello\n(it begins anew; what stands above is void)\nAnew\nx\n"
    Plain().end(answer)
    assert capsys.readouterr().out == "Anew\nx\n"


def test_an_error_of_many_lines_is_read_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    """None of them passes for a line of ours, and nothing reaches the terminal as it is."""
    text = "no model answered\n- rate: m\x1b[31m\nagentbus: all is well"
    Plain().end(Answer(state=a2a.FAILED, remark=text))
    shown = "no model answered\n  - rate: m\\x1b[31m\n  agentbus: all is well\n"
    assert capsys.readouterr().err == f"agentbus: failed: {shown}"
    Plain().failed(Internal(text))
    assert capsys.readouterr().err == f"agentbus: INTERNAL: {shown}"
