"""The fleet in which the changes happen: some agents of one instance, one of two, and people who approve everything."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.harness.fleet import RunningFleet, running_fleet
from tests.selfmod.changes import HANDLER

PAIR = "pair"
"""The agent with two instances."""
READY_WITHIN_S = 6.0
_AGENT_FILE = """\
agent:
  id: {name}
  description: Says which change of it runs.
  version: 1.0.0
handler: handler.py:which
canary: {{text: hello, contains: change}}
limits:
  requests_per_s: 0
"""


def names_of(agents: int) -> list[str]:
    """The agents of one instance."""
    return [f"single-{number}" for number in range(agents)]


@contextmanager
def stage(folder: Path, *, agents: int, steady_for_s: float) -> Iterator[RunningFleet]:
    """The running fleet; stopped at the end."""

    def people(fleet: dict[str, Any]) -> None:
        fleet["agents"] = {name: {} for name in names_of(agents)} | {PAIR: {"instances": 2}}

    def files(source: Path) -> None:
        for name in (*names_of(agents), PAIR):
            agent = source / "agents" / name
            agent.mkdir()
            (agent / "agent.yaml").write_text(_AGENT_FILE.format(name=name))
            (agent / "handler.py").write_text(HANDLER)
        policy = {
            "version": "1",
            "rules": [{"paths": ["agents/**"], "quorum": 1}],
            "health": {"ready_within_s": READY_WITHIN_S, "steady_for_s": steady_for_s},
        }
        (source / "policy.yaml").write_text(yaml.safe_dump(policy))

    with running_fleet(folder, people, files) as fleet:
        yield fleet
