"""`make bare`: a Debian with nothing of ours, the operator's page followed literally, and an agent that answers.

The first block of the page is typed with this machine's network; then a real systemd boots what that left, without any,
and the rest is typed there; then its service manager is asked what it makes of the units. `make bare ARGS=bookworm` is
the same on Debian 12; with `--hand-python` uv is handed the Python that runs this, on a machine from which it can get none.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Callable

from tests.bare.debian import base, server
from tests.bare.manager import CHECKS
from tests.bare.page import Typed, typed
from tests.harness.systemd_boot import Guest, Machine, booted, obstacle

_RELEASES = ("trixie", "bookworm")
_LIMIT_S = 120.0


def main(release: str, *, hands_python: bool) -> int:
    """Exit status 0 when everything on the page printed what it says, and nothing else was found."""
    lacks = "debootstrap is not installed" if shutil.which("debootstrap") is None else obstacle()
    if lacks:
        print(f"bare: cannot be run here: {lacks}")
        return 2
    began = time.monotonic()
    base(release)
    first, *others = typed()
    with server(release, hands_python=hands_python) as bare:
        made = time.monotonic()
        for each in first:
            _typed(each, bare.type)
        there = time.monotonic()
        with booted(Guest(root=bare.layers)) as machine:
            for each in (each for block in others for each in block):
                _typed(each, lambda command: _in(machine, command))
            answered = time.monotonic()
            for check in CHECKS:
                print(check(lambda command: _in(machine, command)), flush=True)
    print(
        f"bare: an agent of Debian {release} answers: a bare system {made - began:.0f} s, the program "
        f"{there - made:.0f} s, the fleet and its answer {answered - there:.0f} s"
    )
    return 0


def _typed(each: Typed, run: Callable[[str], str]) -> None:
    began = time.monotonic()
    print(f"# {each.command}", flush=True)
    said = run(each.command)
    assert each.is_answered_by(said), f"# {each.command}\nprinted\n{said}\nand not\n{each.printed}"
    print(f"  {time.monotonic() - began:.1f} s", flush=True)


def _in(machine: Machine, command: str) -> str:
    done = machine.run(command, timeout_s=_LIMIT_S)
    assert done.code == 0, f"# {command}\n{done.out}{done.err}"
    return done.out


if __name__ == "__main__":
    asked = argparse.ArgumentParser(prog="make bare")
    asked.add_argument("release", nargs="?", choices=_RELEASES, default=_RELEASES[0])
    asked.add_argument("--hand-python", action="store_true")
    given = asked.parse_args()
    sys.exit(main(given.release, hands_python=given.hand_python))
