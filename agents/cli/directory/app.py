"""`agentbus agents …`: the part of the command tree about who is there."""

from __future__ import annotations

from typing import Annotated

import typer

from agents.cli.options import HOME, AgentArgument, CallerOption, HomeOption, JsonOption

agents_app = typer.Typer(help="The fleet's agents: who is online, who can do what.\n\nExample: agentbus agents list")


@agents_app.command("list")
def agents_list(
    home: HomeOption = HOME,
    caller: CallerOption = "",
    skill: Annotated[str, typer.Option(help="Only agents with the skill of this id.")] = "",
    tag: Annotated[str, typer.Option(help="Only agents with a skill of this tag.")] = "",
    words: Annotated[str, typer.Option(help="Only agents whose description or skills have all these words.")] = "",
    online: Annotated[bool, typer.Option("--online", help="Leave out those that are offline.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List the fleet's agents, as the directory knows them; exit 1 when none matches.

    Example: agentbus agents list --tag text
    """
    from agents.cli.directory import commands as agents_commands
    from agents.directory.records import FindInput

    wanted = FindInput(skill=skill, tag=tag, words=words, online=online)
    agents_commands.list_agents(home, caller, wanted, as_json=as_json)


@agents_app.command("show")
def agents_show(
    agent: AgentArgument, home: HomeOption = HOME, caller: CallerOption = "", as_json: JsonOption = False
) -> None:
    """Show one agent: its state, its instances and its card.

    Example: agentbus agents show textstats
    """
    from agents.cli.directory import commands as agents_commands

    agents_commands.show(home, caller, agent, as_json=as_json)


@agents_app.command("watch")
def agents_watch(home: HomeOption = HOME, caller: CallerOption = "", as_json: JsonOption = False) -> None:
    """Print who is there, and then every change, until Ctrl-C.

    Example: agentbus agents watch
    """
    from agents.cli.directory import commands as agents_commands

    agents_commands.watch(home, caller, as_json=as_json)
