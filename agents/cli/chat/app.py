"""`agentbus chat`. Only typer is imported here, as in `agents.cli.app`."""

from __future__ import annotations

from typing import Annotated

import typer

from agents.cli.options import HOME, AgentArgument, CallerOption, HomeOption


def chat(
    agent: AgentArgument,
    home: HomeOption = HOME,
    caller: CallerOption = "",
    context: Annotated[str, typer.Option(help="Go on with this conversation (contextId).")] = "",
    skill: Annotated[str, typer.Option(help="The skill to use.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="A JSON line for each event.")] = False,
) -> None:
    """Talk to an agent; answers come as they are made. Commands: /export [FILE], /cost, /new, /help, /quit.

    Ctrl-C stops an answer, and twice leaves. From a pipe each line is a message; exit 0, 1 when an answer failed or
    waits for somebody, 69 when the agent is away.

    Example: agentbus chat greeter
    """
    from agents.cli.chat import commands

    commands.chat(home, caller, commands.Options(agent, context, skill, as_json=as_json))
