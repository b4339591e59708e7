"""`agentbus propose` and `agentbus proposals …`. Only typer is imported here, as in `agents.cli.app`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agents.cli.options import HOME, CallerOption, HomeOption, JsonOption

proposals_app = typer.Typer(
    help="Proposed changes: list, look at, follow and take back.\n\nExample: agentbus proposals list"
)
ProposalArgument = Annotated[str, typer.Argument(help="The proposal's id, such as p-7q2fabcd.")]


def propose(
    agent: Annotated[str, typer.Option(help="Whose folder changes.")] = "",
    fleet: Annotated[
        bool, typer.Option("--fleet", help="The fleet's own files change: fleet.yaml, policy.yaml.")
    ] = False,
    patch: Annotated[Path | None, typer.Option(help="A unified diff, as git diff writes it.")] = None,
    file: Annotated[list[str] | None, typer.Option(help="PATH=FILE: what PATH holds afterwards.")] = None,
    remove: Annotated[list[str] | None, typer.Option(help="A file that goes.")] = None,
    folder: Annotated[
        Path | None,
        typer.Option(help="The files of a new agent, which --agent names; nobody of that name is there yet."),
    ] = None,
    why: Annotated[str, typer.Option(help="The reason, for those who review it.")] = "",
    home: HomeOption = HOME,
    caller: CallerOption = "",
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for its end; exit 0 applied, 1 ended otherwise, 75 goes on.")
    ] = False,
    timeout: Annotated[float, typer.Option(help="Seconds to wait.")] = 600.0,
    as_json: JsonOption = False,
) -> None:
    """Ask the reviewers to change an agent, or the fleet; exit 1 when they are not asked. Nothing changes before.

    A new agent's files are approved like this; then it joins with: agentbus fleet add agent NAME.

    Example: agentbus propose --agent greeter --patch formal.diff --why "customers asked"
    """
    from agents.cli.proposals import commands as proposal_commands

    wanted = proposal_commands.Wanted(
        agent, patch, tuple(file or ()), tuple(remove or ()), why, is_of_fleet=fleet, folder=folder
    )
    proposal_commands.propose(home, caller, wanted, timeout if wait else None, as_json=as_json)


@proposals_app.command("list")
def proposals_list(
    home: HomeOption = HOME,
    caller: CallerOption = "",
    everything: Annotated[bool, typer.Option("--all", help="Past ones too, the newest 200.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List the proposals that are open or approved, newest first.

    Example: agentbus proposals list --all
    """
    from agents.cli.proposals import commands as proposal_commands

    proposal_commands.show_all(home, caller, everything=everything, as_json=as_json)


@proposals_app.command("show")
def proposals_show(
    proposal: ProposalArgument, home: HomeOption = HOME, caller: CallerOption = "", as_json: JsonOption = False
) -> None:
    """Show what a proposal changes, who voted how, and what became of it.

    Example: agentbus proposals show p-7q2fabcd
    """
    from agents.cli.proposals import commands as proposal_commands

    proposal_commands.show(home, caller, proposal, as_json=as_json)


@proposals_app.command("watch")
def proposals_watch(
    home: HomeOption = HOME,
    caller: CallerOption = "",
    command: Annotated[
        str, typer.Option("--exec", help="Run this for each news, which it gets as JSON on its standard input.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Print a line for each proposal that is new or changes its state, until Ctrl-C.

    The command of --exec is split into words as a shell would and run without one; it has 30 seconds.

    Example: agentbus proposals watch --exec "mail -s approvals me@example.org"
    """
    from agents.cli.proposals import news as proposal_news

    proposal_news.watch(home, caller, command, as_json=as_json)


@proposals_app.command("withdraw")
def proposals_withdraw(
    proposal: ProposalArgument,
    home: HomeOption = HOME,
    caller: CallerOption = "",
    why: Annotated[str, typer.Option(help="The reason, for those who were to review it.")] = "",
) -> None:
    """Take back a proposal of yours that is open; exit 1 when it stays.

    Example: agentbus proposals withdraw p-7q2fabcd --why "a better one follows"
    """
    from agents.cli.proposals import commands as proposal_commands

    proposal_commands.withdraw(home, caller, proposal, why)
