"""Options and arguments that several commands share. Only typer is imported here, as in `agents.cli.app`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

HomeOption = Annotated[
    Path, typer.Option("--home", envvar="AGENTBUS_HOME", help="Folder of the fleet: keys, configuration, state.")
]
CallerOption = Annotated[
    str, typer.Option("--as", help="Ask as this operator of the fleet (the first one if not given).")
]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON for machines.")]
ExtensionOption = Annotated[
    list[str] | None, typer.Option(help="URI of an extension of A2A that you support; may be given several times.")
]
FileOption = Annotated[
    list[Path] | None, typer.Option("--file", help="A file to send along, at most 64 MiB; may be given several times.")
]
BudgetOption = Annotated[str, typer.Option(help="US dollars that the work may cost, such as 0.25.")]
AgentArgument = Annotated[str, typer.Argument(help="The agent's id.")]
TaskArgument = Annotated[str, typer.Argument(help="The task's id.")]
HOME = Path(".agentbus")
