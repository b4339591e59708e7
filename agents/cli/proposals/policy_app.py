"""`agentbus policy …`: is a policy sound, and what does it ask for?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agents.cli.options import HOME, HomeOption, JsonOption

policy_app = typer.Typer(
    help="Who must approve which change.\n\nExample: agentbus policy explain --agent greeter --path agent.yaml"
)


@policy_app.command("check")
def check(
    file: Annotated[Path, typer.Argument(help="A policy.yaml.")],
    home: HomeOption = HOME,
    fleet: Annotated[
        Path | None, typer.Option(help="The fleet file whose reviewers count; the one in force when left out.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say what is wrong with a policy: exit 0 sound, 1 some change could never be approved, 78 it cannot be read.

    Example: agentbus policy check policy.yaml
    """
    from agents.cli.proposals import policy as policy_commands

    policy_commands.check(home, file, fleet, as_json=as_json)


@policy_app.command("explain")
def explain(
    agent: Annotated[str, typer.Option(help="Whose folder is changed; empty for the fleet's own files.")] = "",
    path: Annotated[
        str, typer.Option(help="The file, such as agent.yaml; of the fleet fleet.yaml or policy.yaml.")
    ] = "",
    kind: Annotated[str, typer.Option(help="The kind of change; all kinds when left out.")] = "",
    lines: Annotated[int, typer.Option(help="How many lines change, a day's changes together.")] = 1,
    home: HomeOption = HOME,
    file: Annotated[Path | None, typer.Option("--file", help="A policy.yaml instead of the one in force.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Say which rule decides a change, why, and who may vote on it.

    Example: agentbus policy explain --agent greeter --path agent.yaml --kind prompt
    """
    from agents.cli.proposals import policy as policy_commands

    asked = policy_commands.Asked(agent, path, kind, lines)
    policy_commands.explain(home, asked, file, as_json=as_json)
