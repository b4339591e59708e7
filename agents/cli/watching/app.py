"""The commands' options. Only typer is imported here, as in `agents.cli.app`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agents.cli.options import HOME, HomeOption, JsonOption


def status(home: HomeOption = HOME, as_json: JsonOption = False) -> None:
    """Show every process, as those say who start it and as the bus sees it; exit 3 when nothing runs, 1 when one is amiss.

    Example: agentbus status
    """
    from agents.cli.watching import status as command

    command.status(home, as_json=as_json)


def logs(
    process: Annotated[
        str, typer.Argument(help="A process of `agentbus status`, or an agent; all of them without.")
    ] = "",
    is_following: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many lines of the past.")] = 50,
    home: HomeOption = HOME,
) -> None:
    """Show the log of a process: runs journalctl where units run, tail where `agentbus up` does, and says so.

    Example: agentbus logs greeter -f
    """
    from agents.cli.watching import logs as command

    command.logs(home, process, is_following=is_following, lines=lines)


def top(
    interval_s: Annotated[
        float, typer.Option("--interval", "-i", min=0.2, help="Seconds from one view to the next.")
    ] = 2.0,
    views: Annotated[int, typer.Option("--count", "-c", min=0, help="Views to show; 0: until you press q.")] = 0,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Show what every process does now: load, requests, queues, tasks that wait, cost, spools; who is amiss first.

    On a terminal the view is drawn again until you press q; elsewhere, and with --count, views follow each other.

    Example: agentbus top --count 1 --json
    """
    from agents.cli.watching import top as command

    command.top(home, command.Wanted(interval_s, views, as_json))


def bugreport(
    file: Annotated[Path, typer.Argument(help="The file to write, which must not be there.")],
    home: HomeOption = HOME,
) -> None:
    """Put what somebody who is to help has to know into one file: versions, findings, states, configuration, ends of logs.

    Keys, and what looks like one, are taken out.

    Example: agentbus bugreport report.tar.gz
    """
    from agents.cli.watching import bugreport as command

    command.bugreport(home, file)
