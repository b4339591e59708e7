"""`agentbus break-glass …`: what an operator may do without a vote, and answers for afterwards."""

from __future__ import annotations

from typing import Annotated

import typer

from agents.cli.options import HOME, AgentArgument, CallerOption, HomeOption, JsonOption

glass_app = typer.Typer(
    help="Stop an agent, or take back its last change, at once; reviewers look at it afterwards.\n\n"
    'Example: agentbus break-glass halt greeter --why "it runs wild"'
)
WhyOption = Annotated[str, typer.Option(help="The reason, for those who review it.")]
ForOption = Annotated[
    str,
    typer.Option("--for", help="How long it stands unless reviewers confirm it, such as 30m; the policy bounds it."),
]


@glass_app.command("halt")
def halt(
    agent: AgentArgument, why: WhyOption = "", lasts: ForOption = "4h", home: HomeOption = HOME,
    caller: CallerOption = "", as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Stop every instance of an agent; exit 0 when it is stopped, 1 when not. A veto, or time, starts it again.

    Example: agentbus break-glass halt greeter --why "it runs wild" --for 1h
    """
    from agents.cli.proposals import glass as glass_commands

    glass_commands.break_glass(home, caller, glass_commands.Wanted("halt", agent, why, lasts), as_json=as_json)


@glass_app.command("revert")
def revert(
    agent: AgentArgument, why: WhyOption = "", lasts: ForOption = "4h", home: HomeOption = HOME,
    caller: CallerOption = "", as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Put the release before an agent's present one live; exit 0 when it is. A veto, or time, undoes it.

    Example: agentbus break-glass revert greeter --why "the new prompt insults people"
    """
    from agents.cli.proposals import glass as glass_commands

    glass_commands.break_glass(home, caller, glass_commands.Wanted("revert", agent, why, lasts), as_json=as_json)
