"""`make bench`: the whole path against raw nats-py, and what streams, durable tasks, memory and the trail cost.

Baseline and product take turns in one run, on one server with the same keys, headers and uvloop, each with a
caller and a process that answers; ratios are medians of the rounds. At the end a table says of each target whether it
was met. Exits with 0 whatever it says, as a time depends on the machine and on what else it does; with `--check`,
with 1 when a target was missed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

import uvloop

from agents.cli.run import log_quietly
from tests.bench.agents import agents_section, model_server
from tests.bench.approvals import approvals_section
from tests.bench.audit import audit_section
from tests.bench.report import Report
from tests.bench.requests import durable_section, memory_section, requests_section, stored_section, streams_section
from tests.bench.singles import singles_section
from tests.bench.sizes import FULL, QUICK
from tests.bench.stage import stage
from tests.bench.targets import TARGETS, VERIFY, exit_code, table


async def _measure(report: Report, *, is_quick: bool) -> None:
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="agentbus-bench-"))
        fake, agents = await stack.enter_async_context(model_server(Path(folder)))
        on = await stack.enter_async_context(stage(agents))
        report.line("memory of an idle worker", f"{on.resident_mib:>9.1f} MiB")
        await requests_section(on, report)
        stored = await stored_section(on, report)
        await streams_section(on, report, stored)
        await durable_section(on, report, stored)
        await memory_section(on, report)
        await audit_section(on, report, stored)
        if is_quick:  # the whole form leaves it out, since it takes long; its figures are not those of this trail
            await singles_section(on, Report(report.sizes, report.out))
        await agents_section(on, fake, report)
    await approvals_section(report)


async def _measure_singles(report: Report) -> None:
    async with stage() as on:
        await singles_section(on, report)


def main(arguments: argparse.Namespace) -> int:
    """Measure, and say what was met; the exit code."""
    sizes = QUICK if arguments.quick else FULL
    report = Report(sizes, sys.stderr if arguments.json else sys.stdout)
    if arguments.singles:
        uvloop.run(_measure_singles(report))
    else:
        uvloop.run(_measure(report, is_quick=arguments.quick))
    verdicts = report.verdicts(VERIFY if arguments.singles else TARGETS)
    print(file=report.out)
    for row in table(verdicts):
        print(row, file=report.out)
    if arguments.quick:
        print("       of sizes that decide nothing: only that everything is measured", file=report.out)
    if arguments.json:
        print(report.as_json(verdicts, is_quick=arguments.quick).decode())
    return exit_code(verdicts, is_check=arguments.check)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit with 1 when a target was missed")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout; all else goes to stderr")
    parser.add_argument("--quick", action="store_true", help="a few of everything, to see that it can be measured")
    parser.add_argument("--singles", action="store_true", help="only a trail of a million messages: takes minutes")
    arguments = parser.parse_args()
    if arguments.check and arguments.quick:
        parser.error("--check needs the whole run: leave out --quick, whose sizes decide nothing")
    return arguments


if __name__ == "__main__":
    log_quietly()
    sys.exit(main(_arguments()))
