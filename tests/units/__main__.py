"""`make units`: systemd's opinion of every unit, then a real systemd with a fleet on it that is killed, frozen, limited
and removed. One line for each check; the last line is `units: N of N checks passed`, and exit 1 when one did not.

Where no systemd can be booted it says why, and counts what was looked at. `--static` boots none.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import partial

from tests.harness.needs import Reason
from tests.harness.systemd_boot import obstacle
from tests.units.checks import BOOTED, COPIED, REMOVED, ROTATED, STATIC
from tests.units.files import can_analyze
from tests.units.ground import AGENTS, Ground, ground


def _row(name: str, look: Callable[[], str]) -> bool:
    """Make one check and print its line; whether it passed."""
    try:
        seen, problem = look(), ""
    except (AssertionError, OSError, subprocess.SubprocessError) as error:
        seen, problem = "", f"{type(error).__name__}: {error}"
    first, _, more = problem.partition("\n")
    print(f"  {'FAILED' if problem else 'ok':<6}  {name:<42} {seen or first}", flush=True)
    if more:
        print("\n".join(f"          {line}" for line in more.splitlines()[-40:]), flush=True)
    return not problem


def _made_static() -> list[bool]:
    if not can_analyze():
        print(f"  not looked at: {Reason.ANALYZE}")
        return []
    return [_row(name, look) for name, look in STATIC.items()]


def _made_booted() -> list[bool]:
    problem = obstacle()
    if problem:
        print(f"  not booted: {problem}")
        return []
    try:
        with ground(is_installed=True) as fleet:
            _show(fleet)
            made = []
            for check in (*BOOTED[:-1], ROTATED, COPIED, BOOTED[-1], REMOVED):
                if check.obstacle:
                    print(f"  not looked at: {check.name}: {check.obstacle}")
                    continue
                fleet.fresh()
                made.append(_row(check.name, partial(check.look, fleet)))
            return made
    except AssertionError as error:
        message = str(error)
        return [_row("the fleet starts", partial(_raise, message))]


def _raise(message: str) -> str:
    raise AssertionError(message)


def _show(fleet: Ground) -> None:
    """What an operator sees first."""
    units = " ".join(("nats-server", *(f"agent@{name}" for name in AGENTS)))
    print(fleet.machine.run(f"systemctl status --no-pager --lines=0 {units}").out, flush=True)


def main(*, is_static: bool) -> int:
    """Make every check that can be made here; the exit code, which is 1 also where nothing could be looked at."""
    print("units as files", flush=True)
    made = _made_static()
    if not is_static:
        print("units under a real systemd", flush=True)
        made += _made_booted()
    print(f"units: {sum(made)} of {len(made)} checks passed")
    return 0 if made and all(made) else 1


if __name__ == "__main__":
    sys.exit(main(is_static="--static" in sys.argv[1:]))
