"""Limits that bite: memory, processes, processor and temporary files of one agent."""

from __future__ import annotations

from tests.units.ground import Ground

AGENT = "trial"


def memory_ends_the_child(ground: Ground) -> str:
    """A tool that takes more than the unit may have dies alone: the agent goes on."""
    with ground.limited(AGENT, MemoryMax="256M", MemorySwapMax="0"):
        before = ground.pid(f"agent@{AGENT}")
        said = ground.ask(AGENT, "memory 400")
        assert said == "the child ended with -9", said
        assert ground.pid(f"agent@{AGENT}") == before
        return f"MemoryMax=256M: {said}, process {before} goes on"


def memory_ends_the_agent(ground: Ground) -> str:
    """An agent that takes it itself is ended, and started again."""
    with ground.limited(AGENT, MemoryMax="256M", MemorySwapMax="0"):
        before = ground.pid(f"agent@{AGENT}")
        ground.tell(AGENT, "own-memory 400")
        now = ground.came_back(AGENT, before)
        assert now["NRestarts"] == "1", now
        assert ground.answers_again(AGENT) == "back"
        return f"MemoryMax=256M: process {before} was ended, {now['MainPID']} answers"


def processes_are_counted(ground: Ground) -> str:
    """More processes than the unit may have cannot be started."""
    with ground.limited(AGENT, TasksMax="40"):
        said = ground.ask(AGENT, "children 60")
        count, _, problem = said.partition(" children, then: ")
        assert problem == "Resource temporarily unavailable", said
        assert int(count) < 40
        return f"TasksMax=40: {said}"


def the_processor_is_shared(ground: Ground) -> str:
    """Children that would use two processors get what the unit may have."""
    with ground.limited(AGENT, CPUQuota="20%"):
        said = ground.ask(AGENT, "burn 1")
        used, _, of = said.partition(" of ")
        assert float(used) < 0.5 * float(of), said
        return f"CPUQuota=20%: {said} s"


def temporary_files_have_a_size(ground: Ground) -> str:
    """/tmp of an agent holds what its unit says, and no more."""
    said = ground.ask(AGENT, "fill 64")
    written, _, problem = said.partition(" MiB, then: ")
    assert problem == "No space left on device", said
    assert int(written) <= 16
    return f"size=16M: {said}"
