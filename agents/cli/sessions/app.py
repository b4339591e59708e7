"""`agentbus sessions …`. Only typer is imported here, as in `agents.cli.app`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agents.cli.options import HOME, AgentArgument, CallerOption, HomeOption, JsonOption

ContextArgument = Annotated[str, typer.Argument(help="The conversation's id (contextId).")]
sessions_app = typer.Typer(
    help="Conversations that an agent remembers of you, and notes: list, show, export and delete them.\n\n"
    "Example: agentbus sessions list greeter"
)


@sessions_app.command("list")
def sessions_list(
    agent: AgentArgument,
    home: HomeOption = HOME,
    caller: CallerOption = "",
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="The newest so many.")] = 100,
    as_json: JsonOption = False,
) -> None:
    """List your conversations that the agent remembers, the newest first.

    Example: agentbus sessions list greeter
    """
    from agents.cli.sessions import commands

    commands.show_all(home, caller, agent, limit, as_json=as_json)


@sessions_app.command("show")
def sessions_show(
    agent: AgentArgument, context: ContextArgument, home: HomeOption = HOME, caller: CallerOption = ""
) -> None:
    """Show what was said in a conversation; exit 1 when the agent does not remember it.

    Example: agentbus sessions show greeter c-1
    """
    from agents.cli.sessions import commands

    commands.show(home, caller, agent, context)


@sessions_app.command("export")
def sessions_export(
    agent: AgentArgument,
    context: ContextArgument,
    file: Annotated[Path | None, typer.Argument(help="A new file; standard output without it.")] = None,
    home: HomeOption = HOME,
    caller: CallerOption = "",
) -> None:
    """Write a conversation as it is stored, with its archive, as JSON; exit 1 when the agent does not remember it.

    Example: agentbus sessions export greeter c-1 talk.json
    """
    from agents.cli.sessions import commands

    commands.export(home, caller, agent, context, file)


@sessions_app.command("delete")
def sessions_delete(
    agent: AgentArgument,
    context: Annotated[str, typer.Argument(help="The conversation's id (contextId).")] = "",
    home: HomeOption = HOME,
    caller: CallerOption = "",
    everything: Annotated[bool, typer.Option("--all", help="All your conversations, and your notes.")] = False,
) -> None:
    """Have the agent forget a conversation, or all of yours and your notes; exit 1 when there was nothing.

    Example: agentbus sessions delete greeter c-1
    """
    from agents.cli.sessions import commands

    commands.delete(home, caller, agent, context, everything=everything)


@sessions_app.command("notes")
def sessions_notes(
    agent: AgentArgument, home: HomeOption = HOME, caller: CallerOption = "", as_json: JsonOption = False
) -> None:
    """Show the notes that the agent keeps about you.

    Example: agentbus sessions notes greeter
    """
    from agents.cli.sessions import commands

    commands.notes(home, caller, agent, as_json=as_json)
