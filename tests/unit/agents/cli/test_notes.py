"""What `agentbus status` says below its table: where two views disagree, and what waits."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.cli.watching.notes import notes
from agents.observing import Place, Process, Runner, State
from agents.observing.numbers import Numbers
from bus.surroundings import Home

SERVER = Process("nats-server", "nats-server.service")
SEALER = Process("sealer", "agentbus-sealer.service")
GREETER = Process("agent-greeter", "agent@greeter.service", "greeter")
SECOND = Process("agent-greeter-1", "agent-1@greeter.service", "greeter")


def up(process: Process, restarts: int = 0) -> State:
    """It says that it is ready."""
    return State(process, "ready", is_up=True, restarts=restarts)


def down(process: Process) -> State:
    """It was stopped."""
    return State(process, "stopped", is_up=False)


def said(
    *states: State, heard: dict[str, int] | None, told: tuple[Numbers, ...] = (), runner: Runner = Runner.SYSTEMD
) -> str:
    """The notes, a line each."""
    place = Place(home=Home(Path("/home")), runner=runner, environment={}, now_s=0.0)
    return "\n".join(notes(place, states, heard, told))


def test_where_all_agree_nothing_is_said() -> None:
    """Also of what is down, and not heard."""
    assert said(up(SERVER), up(GREETER), down(SECOND), heard={"greeter": 1}) == ""


@pytest.mark.parametrize(
    ("states", "heard", "words"),
    [
        ((up(SERVER),), None, "systemd says that nats-server is ready, and it does not answer"),
        ((up(GREETER),), {}, "an instance of greeter is ready, and the bus hears none"),
        ((up(GREETER), up(SECOND)), {"greeter": 1}, "2 instances of greeter are ready, and the bus hears 1"),
        (
            (up(GREETER),),
            {"greeter": 2},
            "the bus hears 2 of greeter, and systemd says that 1 runs: another process has",
        ),
        ((down(GREETER),), {"greeter": 1}, "the bus hears 1 of greeter, and systemd says that none runs"),
        ((up(GREETER, restarts=4),), {"greeter": 1}, "agent-greeter was started again 4 times"),
    ],
)
def test_a_disagreement_is_a_sentence(states: tuple[State, ...], heard: dict[str, int] | None, words: str) -> None:
    """With what to do."""
    line = said(*states, heard=heard)
    assert words in line
    assert any(command in line for command in ("agentbus logs", "systemctl restart agent", "agentbus fleet rotate"))


def test_what_waits_is_said() -> None:
    """Proposals, and events that are late; an event that is on its way is neither."""
    fresh = {"agentbus_audit_spool_events": 3.0, "agentbus_audit_lag_seconds": 0.2}
    late = {**fresh, "agentbus_audit_lag_seconds": 9.0, "agentbus_proposals_open": 1.0}
    assert said(up(SEALER), heard={}, told=(Numbers(SEALER, "ready", fresh),)) == ""
    line = said(up(SEALER), heard={}, told=(Numbers(SEALER, "not ready", late),))
    assert "sealer is ready, and it says that it is not ready" in line
    assert "1 proposal waits for a decision: agentbus proposals list" in line
    assert "3 events are not on the trail yet" in line
