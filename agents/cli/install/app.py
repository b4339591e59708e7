"""The options of `agentbus install` and `agentbus uninstall`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agents.cli.options import JsonOption

RootOption = Annotated[
    Path, typer.Option("--root", help="Install into this folder, as into a machine's /, for a package.")
]
DryOption = Annotated[bool, typer.Option("--dry-run", help="Say every file and command; change nothing.")]
_MACHINE = Path("/")


def install(
    root: RootOption = _MACHINE,
    dry_run: DryOption = False,
    extras: Annotated[str, typer.Option("--with", help="Extras of the product: openai,anthropic,mcp,a2a.")] = "",
    nats_server: Annotated[
        Path | None, typer.Option(help="A nats-server to use; else the one that comes along.")
    ] = None,
    wheels: Annotated[Path | None, typer.Option(help="Folder of packages, for a machine without a registry.")] = None,
    restart: Annotated[bool, typer.Option(help="Restart what runs, one after the other, with another version.")] = True,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="Use the release that was made before this one.")
    ] = False,
    deb: Annotated[
        Path | None,
        typer.Option(
            help="Write a Debian package into this folder, and install nothing. --root: where it is put together."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Put this agentbus on the machine: program, server, units, users. Again: upgrade, or nothing to do.

    A release goes to /opt/agentbus/releases, as /opt/agentbus/current; units to /etc/systemd/system. The release before
    stays for --rollback. The fleet's own files are made by agentbus provision.

    Example: sudo .venv/bin/agentbus install
    """
    from agents.cli.install import commands

    what = commands.Wanted(tuple(filter(None, extras.split(","))), nats_server, wheels)
    how = commands.How(root, is_dry=dry_run, as_json=as_json, restarts=restart)
    if rollback:
        commands.roll_back(how)
    elif deb is not None:
        commands.package(what, how, deb)
    else:
        commands.install(what, how)


def uninstall(
    root: RootOption = _MACHINE,
    dry_run: DryOption = False,
    purge: Annotated[
        bool, typer.Option("--purge", help="Remove the fleet's keys, trail and state too, for good.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Stop the fleet and remove what was installed. What somebody changed is kept and named; data is, too.

    Example: sudo agentbus uninstall --dry-run
    """
    from agents.cli.install import commands

    commands.uninstall(commands.How(root, is_dry=dry_run, as_json=as_json), is_purged=purge, is_sure=yes)
