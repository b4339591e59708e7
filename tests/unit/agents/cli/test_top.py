"""What `agentbus top` makes of two moments."""

from __future__ import annotations

from agents.cli.watching.table import Moment, between, lines
from agents.observing.numbers import Numbers
from agents.observing.processes import Process

GREETER = Process("agent-greeter", "agent@greeter.service", "greeter")
SEALER = Process("sealer", "agentbus-sealer.service")


def numbers(process: Process, word: str = "ready", **values: float) -> Numbers:
    return Numbers(process, word, values)


def test_rates_are_of_the_time_between() -> None:
    """Counters by their difference; what began anew counts from nothing and never below."""
    before = Moment(10.0, [numbers(GREETER, agent_requests_total=100, process_cpu_seconds_total=5)])
    now = Moment(12.0, [numbers(GREETER, agent_requests_total=150, process_cpu_seconds_total=6)])
    (row,) = between(before, now).rows
    assert (row.requests_per_s, row.busy) == (25.0, 0.5)
    (anew,) = between(before, Moment(12.0, [numbers(GREETER, agent_requests_total=3)])).rows
    assert anew.requests_per_s == 0.0


def test_who_is_amiss_comes_first() -> None:
    """And the first line says how many are ready."""
    moment = Moment(1.0, [numbers(GREETER), numbers(SEALER, "stuck", agentbus_checkpoint_age_seconds=7)])
    shown = lines(between(moment, moment), "example")
    assert shown[0].startswith("example: 1 of 2 ready")
    assert "checkpoint 7 s old" in shown[1]
    assert [line.split()[0] for line in shown[3:]] == ["sealer", "agent-greeter"]


def test_a_new_process_has_no_rate() -> None:
    """At its first moment there is nothing to compare with."""
    (row,) = between(Moment(1.0, []), Moment(2.0, [numbers(GREETER, agent_requests_total=1000)])).rows
    assert row.requests_per_s == 0.0


def test_a_narrow_terminal_has_what_counts() -> None:
    """Whole columns, and no line that is longer; what goes first is what one misses least."""
    long = Process(f"agent-{'a' * 25}-1", f"agent-1@{'a' * 25}.service", "a" * 25)
    moment = Moment(1.0, [numbers(GREETER), numbers(long, "not ready")])
    fleet = between(moment, moment)
    for width, there, gone in ((130, "LATE S", "nothing"), (100, "SPOOL", "LATE S"), (80, "SPOOL", "COST $")):
        head, *rows = lines(fleet, "example", width)[2:]
        assert there in head
        assert gone not in head
        assert max(map(len, [head, *rows])) <= width
        assert rows[0].split()[:3] == [long.name, "not", "ready"]
    assert "LATE S" in lines(fleet, "example")[2]
