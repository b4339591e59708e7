"""The command's options. Only typer is imported here, as in `agents.cli.app`."""

from __future__ import annotations

from typing import Annotated

import typer

from agents.cli.options import HOME, HomeOption, JsonOption


def doctor(
    home: HomeOption = HOME,
    is_strict: Annotated[bool, typer.Option("--strict", help="Exit 1 for warnings too.")] = False,
    is_terse: Annotated[bool, typer.Option("--quiet", help="Say only what is not well.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Look at everything that is in force, and say what is wrong and how to mend it; exit 1 when something is.

    It changes nothing, and works while things are down.

    Example: agentbus doctor --home /var/lib/agentbus
    """
    from agents.cli.doctor import commands

    commands.doctor(home, is_strict=is_strict, is_terse=is_terse, as_json=as_json)
