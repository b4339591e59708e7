"""The commands' options. Only typer is imported here, as in `agents.cli.app`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agents.cli.options import HOME, HomeOption, JsonOption


def backup(
    file: Annotated[Path, typer.Argument(help="The file to write, which must not be there.")],
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Put the whole home of a fleet into one file: keys, configuration, state and every stream, as of one moment.

    A fleet that runs goes on: its server is held still for some milliseconds, in which requests wait. The home is copied
    beside itself first, which needs room for a while. The file is as secret as the home. For the trail alone, by an
    auditor: agentbus audit backup.

    Example: agentbus backup /mnt/backup/fleet.tar.gz --home /var/lib/agentbus
    """
    from agents.cli.backup import commands

    commands.backup(home, file, as_json=as_json)


def restore(
    file: Annotated[Path, typer.Argument(help="What `agentbus backup` wrote.")],
    home: HomeOption = HOME,
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option(help="A checkpoint that you kept, which the trail must continue; may be given several times."),
    ] = None,
    digest: Annotated[
        str, typer.Option("--sha256", help="The file's SHA-256, which `agentbus backup` said; any other is refused.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Make a home of a backup, where there is none, and verify the trail that it holds; exits as audit verify does.

    A file that holds anything but a home is refused and leaves nothing. Whoever could change it could give the fleet
    other keys and agents: keep it where nobody can, or its SHA-256 elsewhere. All files belong to who runs this;
    agentbus provision gives those of units to their users.

    Example: agentbus restore /mnt/backup/fleet.tar.gz --home /var/lib/agentbus
    """
    from agents.cli.backup import commands

    commands.restore(home, file, digest, tuple(checkpoint or ()), as_json=as_json)
