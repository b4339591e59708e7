"""The commands about who belongs to a fleet. Only typer is imported here, as in `agents.cli.app`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agents.cli.options import HOME, HomeOption, JsonOption

fleet_app = typer.Typer(
    help="Who belongs to the fleet, and with which rights.\n\nExample: agentbus fleet add agent scribe --asks greeter",
    no_args_is_help=True,
    rich_markup_mode=None,
)
add_app = typer.Typer(
    help="Let somebody join, while the fleet goes on.\n\nExample: agentbus fleet add reviewer carol --groups staff",
    no_args_is_help=True,
    rich_markup_mode=None,
)
fleet_app.add_typer(add_app, name="add")

NameArgument = Annotated[str, typer.Argument(help="The name: small letters, digits, dashes, a letter first.")]


@fleet_app.command("init")
def fleet_init(
    name: NameArgument,
    home: HomeOption = HOME,
    source: Annotated[
        Path, typer.Option("--from", help="What it starts from: example, newsroom, or a folder with fleet.yaml.")
    ] = Path("example"),
    port: Annotated[int, typer.Option(help="Where clients connect, instead of what the fleet file says.")] = 0,
) -> None:
    """Make a new fleet in a home that has none: its files, keys, permissions and streams. Nothing is overwritten.

    Example: agentbus fleet init night --home /var/lib/agentbus --from newsroom
    """
    from agents.cli.fleet import beginning

    beginning.init(name, home, source, port)


@fleet_app.command("show")
def fleet_show(home: HomeOption = HOME, as_json: JsonOption = False) -> None:
    """List the members: role, public keys and their age, and what each may do.

    Example: agentbus fleet show --json
    """
    from agents.cli.fleet import show

    show.show(home, as_json=as_json)


@add_app.command("agent")
def add_agent(
    name: NameArgument,
    home: HomeOption = HOME,
    template: Annotated[str, typer.Option(help="The template of its files; see agentbus agent new --list.")] = "",
    folder: Annotated[Path | None, typer.Option(help="A folder with its files, instead of a template.")] = None,
    asks: Annotated[str, typer.Option(help="Agents that it may ask, with commas.")] = "",
) -> None:
    """Let an agent join: its files, keys, permissions and streams. Nobody else is restarted or disconnected.

    Example: agentbus fleet add agent scribe --template basic --asks greeter,textstats
    """
    from agents.cli.fleet import membership

    membership.add_agent(home, name, template, folder, asks)


@add_app.command("reviewer")
def add_reviewer(
    name: NameArgument,
    home: HomeOption = HOME,
    groups: Annotated[str, typer.Option(help="Groups of the policy, with commas.")] = "",
) -> None:
    """Let a person vote on proposals.

    Example: agentbus fleet add reviewer carol --groups staff
    """
    from agents.cli.fleet import membership

    membership.add(home, name, "reviewer", {"groups": groups.split(",")} if groups else {})


@add_app.command("operator")
def add_operator(name: NameArgument, home: HomeOption = HOME) -> None:
    """Let a person ask every agent and leave it tasks.

    Example: agentbus fleet add operator night
    """
    from agents.cli.fleet import membership

    membership.add(home, name, "operator", {})


@add_app.command("auditor")
def add_auditor(name: NameArgument, home: HomeOption = HOME) -> None:
    """Let a person read the audit trail, and nothing else.

    Example: agentbus fleet add auditor external
    """
    from agents.cli.fleet import membership

    membership.add(home, name, "auditor", {})


@add_app.command("witness")
def add_witness(name: NameArgument, home: HomeOption = HOME) -> None:
    """Have one more process cosign the trail's checkpoints; the sealer is restarted.

    Example: agentbus fleet add witness witness-c
    """
    from agents.cli.fleet import membership

    membership.add(home, name, "witness", {})


@fleet_app.command("remove")
def fleet_remove(
    name: NameArgument,
    home: HomeOption = HOME,
    purge: Annotated[bool, typer.Option("--purge", help="Also remove its state, releases and streams.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Purge without asking.")] = False,
) -> None:
    """Stop a member, refuse its keys and close its connections. Its trail and, without --purge, its state stay.

    Example: agentbus fleet remove scribe
    """
    from agents.cli.fleet import membership

    membership.remove(home, name, is_purging=purge, is_sure=yes)


@fleet_app.command("rotate")
def fleet_rotate(
    name: Annotated[str, typer.Argument(help="A member, or a process of the product such as sealer.")] = "",
    home: HomeOption = HOME,
    everybody: Annotated[bool, typer.Option("--all", help="Everybody who has a key.")] = False,
    store: Annotated[bool, typer.Option("--store", help="The key of the store; the fleet is stopped.")] = False,
    ca: Annotated[bool, typer.Option("--ca", help="The authority that signs the server's certificate.")] = False,
    finish: Annotated[bool, typer.Option("--finish", help="With --ca: other machines have the new ca.pem.")] = False,
) -> None:
    """Give a member new keys: let in first, then used, then the old ones are refused. Its trail goes on.

    Example: agentbus fleet rotate greeter
    """
    from agents.cli.fleet import rotating

    rotating.rotate(home, rotating.Wanted(name, is_all=everybody, store=store, ca=ca), is_finishing=finish)
