"""What a table of processes does not say by itself: where two views disagree, and what waits for a person. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from agents.observing import Place, Runner, State
from agents.observing.numbers import Numbers
from schemas import names

_MANY_RESTARTS = 3
_LATE_S = 5.0
"""An event that is newer is on its way."""


def notes(place: Place, states: Sequence[State], heard: Mapping[str, int] | None, told: Sequence[Numbers]) -> list[str]:
    """A line for each of them. `heard`: how many instances of each agent the bus hears; None where it is silent."""
    return [
        *_of_the_server(place, states, heard),
        *(_of_the_bus(place, states, heard) if heard is not None else ()),
        *_of_themselves(place, states, told),
        *_of_restarts(states),
        *_of_waiting(told),
    ]


def _of_the_server(place: Place, states: Iterable[State], heard: Mapping[str, int] | None) -> Iterator[str]:
    for state in states:
        if state.process.name == names.NATS_SERVER and state.is_up and heard is None:
            yield f"{_says(place)} that nats-server is {state.state}, and it does not answer: agentbus logs nats-server"


def _of_the_bus(place: Place, states: Sequence[State], heard: Mapping[str, int]) -> Iterator[str]:
    for agent in dict.fromkeys(state.process.agent for state in states if state.process.agent):
        own = [state for state in states if state.process.agent == agent]
        up, answers = sum(state.is_up for state in own), heard.get(agent, 0)
        if answers < up:
            first = next(state for state in own if state.is_up)
            yield (
                f"{_says(place)} that {_counted(up)} of {agent} {'is' if up == 1 else 'are'} ready, and the bus hears "
                f"{answers or 'none'}: it stands still, or does not reach the server; {place.start(first.process.name, first.process.unit)}"
            )
        if answers > up:
            yield (
                f"the bus hears {answers} of {agent}, and {_says(place)} that {up or 'none'} runs: another process has its "
                f"key, here or elsewhere; where it should not, agentbus fleet rotate {agent} takes the key from it"
            )


def _of_themselves(place: Place, states: Sequence[State], told: Sequence[Numbers]) -> Iterator[str]:
    up = {state.process.name: state for state in states if state.is_up}
    words = {"not ready": "says that it is not ready", "stuck": "takes a connection and does not answer"}
    for numbers in told:
        name = numbers.process.name
        is_said_by_the_bus = numbers.word == "stuck" and numbers.process.agent
        if name in up and numbers.word in words and not is_said_by_the_bus:
            yield f"{_says(place)} that {name} is {up[name].state}, and it {words[numbers.word]}: agentbus doctor says why"


def _of_restarts(states: Sequence[State]) -> Iterator[str]:
    for state in states:
        if (state.restarts or 0) >= _MANY_RESTARTS:
            yield f"{state.process.name} was started again {state.restarts} times: agentbus logs {state.process.name}"


def _of_waiting(told: Sequence[Numbers]) -> Iterator[str]:
    if waiting := int(sum(numbers["agentbus_proposals_open"] for numbers in told)):
        yield f"{waiting} {'proposal waits' if waiting == 1 else 'proposals wait'} for a decision: agentbus proposals list"
    late = [numbers for numbers in told if numbers["agentbus_audit_lag_seconds"] > _LATE_S]
    if spooled := int(sum(numbers["agentbus_audit_spool_events"] for numbers in late)):
        yield f"{spooled} {'event is' if spooled == 1 else 'events are'} not on the trail yet, and wait in spools"


def _says(place: Place) -> str:
    return "systemd says" if place.runner is Runner.SYSTEMD else "agentbus up says"


def _counted(count: int) -> str:
    return "an instance" if count == 1 else f"{count} instances"
