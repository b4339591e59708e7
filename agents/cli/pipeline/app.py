"""The command `agentbus pipeline`. Only typer is imported here, as in `agents.cli.app`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agents.cli.options import HOME, CallerOption, HomeOption, JsonOption


def pipeline(
    file: Annotated[Path, typer.Argument(help="The pipeline: YAML with its steps.")],
    text: Annotated[
        str | None, typer.Option("--input", help="What it is to work on; - reads standard input.", show_default=False)
    ] = None,
    home: HomeOption = HOME,
    caller: CallerOption = "",
    name: Annotated[str, typer.Option("--run", help="A name for the run; the same one again goes on with it.")] = "",
    resume: Annotated[str, typer.Option(help="Go on with this run, which was stopped or killed.")] = "",
    budget: Annotated[str, typer.Option(help="US dollars that all steps together may cost, such as 0.50.")] = "",
    tree: Annotated[bool, typer.Option("--tree", help="Show the whole conversation as a tree, with its cost.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Have agents work one after the other, each step a durable task; exit 1 when its judge was not content.

    Example: agentbus pipeline pipeline.yaml --input "Why is the sky blue?" --tree
    """
    from agents.cli.pipeline import commands

    commands.run(home, caller, commands.Wanted(file, text, name, resume, budget, is_json=as_json, has_tree=tree))
