"""`make adversary`: attacks a running fleet with an agent's, a reviewer's and an operator's keys, and looks after each
whether the trail tells what happened. The last line counts what was refused; exits with 1 when anything was not.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path

import uvloop

from agents.cli.run import log_quietly
from schemas.errors import AgentbusError
from tests.adversary import conduct, content, votes, walls
from tests.adversary.field import Case, Field, attacked, field_of

EVERY: tuple[Case, ...] = (*content.CASES, *walls.CASES, *votes.CASES, *conduct.CASES)
_CASE_S = 120.0


async def _held(field: Field, case: Case) -> str:
    """Why the attack was not refused, or the trail does not tell of it; empty when both are as they should be."""
    field.stand = await field.quiet()
    try:
        async with asyncio.timeout(_CASE_S):
            await case.attack(field)
            await field.until_told(case.tells)
    except (AssertionError, AgentbusError, TimeoutError, OSError) as error:
        return f"{type(error).__name__}: {error}"
    return ""


async def play(field: Field, cases: tuple[Case, ...]) -> int:
    """Every attack; how many were not refused. Prints a line for each."""
    failed = 0
    for case in cases:
        problem = await _held(field, case)
        failed += bool(problem)
        print(
            f"  {'NOT REFUSED' if problem else 'refused':<12} {case.name:<48} {case.tells or 'nothing to tell'}",
            flush=True,
        )
        if problem:
            print(f"               {problem[:600]}", flush=True)
    return failed


async def main(only: str) -> int:
    """Run everything; the exit code."""
    cases = tuple(case for case in EVERY if only in case.name)
    with tempfile.TemporaryDirectory(prefix="agentbus-adversary-") as folder, attacked(Path(folder, "fleet")) as fleet:
        async with field_of(fleet, Path(folder)) as field:
            failed = await play(field, cases)
        verified = fleet.run("audit", "verify", check=False)
    print(f"trail: {verified.stdout.splitlines()[0] if verified.stdout else verified.stderr.strip()}")
    print(f"adversary: refused {len(cases) - failed} of {len(cases)}")
    return int(bool(failed or verified.returncode))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.adversary", description=__doc__)
    parser.add_argument("--only", default="", help="only the attacks with this in their name")
    return parser.parse_args()


if __name__ == "__main__":
    log_quietly()
    raise SystemExit(uvloop.run(main(_arguments().only)))
