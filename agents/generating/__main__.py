"""Writes the files that follow from the code.

    python -m agents.generating [--check]

With `--check` nothing is written: what is stale is named, and the exit code is 1.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from agents.generating.files import ROOT, stale, write


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m agents.generating", description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="name what is stale instead of writing it")
    is_check = parser.parse_args(arguments).check
    found = stale(root) if is_check else write(root)
    for path in found:
        print(f"{path} is stale; run: make schemas" if is_check else f"wrote {path}")
    return 1 if is_check and found else 0


if __name__ == "__main__":
    raise SystemExit(main())
