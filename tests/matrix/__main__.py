"""`make matrix`: every key of a fleet tries every subject, each way, on the real server.

The last line is `matrix: N of N cells as declared`; what differs is named before it, and the exit code is 1 then. What
is declared stands in `tests/matrix/rules.py` and `powers.py`, and was not made from what is configured.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import uvloop

from agents.cli.run import log_quietly
from tests.harness.fleet import Bench, bench
from tests.matrix.cells import Cell, Verdict, cells
from tests.matrix.probe import Prober
from tests.matrix.roles import Key, change


async def differing(running: Bench, folder: Path) -> dict[Key, list[tuple[Cell, Verdict]]]:
    """By key: the cells in which the server does something else than is declared."""
    listen = running.fleet.nats
    prober = Prober(listen.host, listen.port, running.home.root / "credentials", folder)
    found = {}
    async with prober.listening():
        for key, tried in cells().items():
            seen = await prober.verdicts(key, tried)
            found[key] = [(cell, seen[cell]) for cell in tried if seen[cell] is not cell.declared]
    return found


async def main() -> int:
    """Run everything; the exit code."""
    with tempfile.TemporaryDirectory(prefix="agentbus-matrix-") as folder:
        async with bench(Path(folder, "fleet"), change) as running:
            found = await differing(running, Path(folder))
    total = bad = 0
    for key, tried in cells().items():
        counts = Counter(cell.declared for cell in tried)
        wrong = found[key]
        print(f"  {key.name:<20} {len(tried):>5} cells: " + ", ".join(f"{n} {v}" for v, n in sorted(counts.items())))
        for cell, verdict in wrong:
            print(f"    DIFFERS  {cell.act} {cell.subject}: declared {cell.declared}, the server: {verdict}")
        total, bad = total + len(tried), bad + len(wrong)
    print(f"matrix: {total - bad} of {total} cells as declared")
    return int(bool(bad))


if __name__ == "__main__":
    log_quietly()
    raise SystemExit(uvloop.run(main()))
