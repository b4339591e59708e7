"""`agentbus tasks …`. Only typer is imported here, as in `agents.cli.app`."""

from __future__ import annotations

from typing import Annotated

import typer

from agents.cli.options import (
    HOME,
    AgentArgument,
    BudgetOption,
    CallerOption,
    ExtensionOption,
    FileOption,
    HomeOption,
    JsonOption,
    TaskArgument,
)

tasks_app = typer.Typer(
    help="Tasks: leave one, list them, read, follow and cancel one, see what was given up.\n\nExample: agentbus tasks add greeter hello"
)


@tasks_app.command("add")
def tasks_add(
    agent: AgentArgument,
    text: Annotated[str, typer.Argument(help="What to do.")] = "",
    home: HomeOption = HOME,
    caller: CallerOption = "",
    skill: Annotated[str, typer.Option(help="The skill to use.")] = "",
    data: Annotated[str, typer.Option(help="JSON for a typed skill, instead of text.")] = "",
    file: FileOption = None,
    extension: ExtensionOption = None,
    budget: BudgetOption = "",
    key: Annotated[str, typer.Option(help="Idempotency key: the same key within two minutes is one task.")] = "",
    after: Annotated[str, typer.Option("--in", help="Not to be begun before so long: 90s, 10m, 1h30m, 2d.")] = "",
    at: Annotated[str, typer.Option("--at", help="Not to be begun before this moment: 2030-01-31T07:00:00Z.")] = "",
) -> None:
    """Leave a task for an agent, which may be down; prints the task's id.

    Example: agentbus tasks add greeter "hello" --in 10m
    """
    from agents.cli import ask_commands
    from agents.cli.tasks import commands as task_commands

    extensions = tuple(extension or ())
    what = ask_commands.Question(agent, text, data, skill, 10.0, is_background=True, extensions=extensions)
    task_commands.add(home, caller, what.carrying(file, budget), key, (after, at))


@tasks_app.command("list")
def tasks_list(
    agent: Annotated[str, typer.Argument(help="The agent's id; all agents if not given.")] = "",
    home: HomeOption = HOME,
    caller: CallerOption = "",
    state: Annotated[str, typer.Option(help="Only tasks in this state, such as working or input-required.")] = "",
    context: Annotated[str, typer.Option(help="Only tasks of this conversation (contextId).")] = "",
    limit: Annotated[int, typer.Option("--limit", "-n", help="The newest so many.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """List your tasks, the one that changed last first; exit 69 when an agent does not answer.

    Example: agentbus tasks list greeter --state failed
    """
    from agents.cli.tasks import commands as task_commands

    task_commands.show_all(home, caller, task_commands.Wanted(agent, state, context, limit), as_json=as_json)


@tasks_app.command("show")
def tasks_show(
    agent: AgentArgument,
    task: TaskArgument,
    home: HomeOption = HOME,
    caller: CallerOption = "",
    wait: Annotated[
        bool,
        typer.Option("--wait", help="Wait for its end; exit 0 completed, 1 ended otherwise or waits, 75 goes on."),
    ] = False,
    timeout: Annotated[float, typer.Option(help="Seconds to wait.")] = 60.0,
    as_json: JsonOption = False,
) -> None:
    """Show the state of a task, and its result when it has one.

    Example: agentbus tasks show greeter task-1 --wait
    """
    from agents.cli.tasks import commands as task_commands

    task_commands.show(home, caller, (agent, task), timeout if wait else None, as_json=as_json)


@tasks_app.command("watch")
def tasks_watch(
    agent: AgentArgument,
    task: TaskArgument,
    home: HomeOption = HOME,
    caller: CallerOption = "",
    timeout: Annotated[float, typer.Option(help="Seconds to watch; 0 is no limit.")] = 0.0,
    as_json: JsonOption = False,
) -> None:
    """Follow a task until it ends or waits for somebody; exit 0 completed, 1 ended otherwise or waits, 75 goes on.

    With --json, each update is a line: a StreamResponse of A2A.

    Example: agentbus tasks watch greeter task-1
    """
    from agents.cli.tasks import commands as task_commands

    task_commands.watch(home, caller, (agent, task), timeout, as_json=as_json)


@tasks_app.command("cancel")
def tasks_cancel(
    agent: AgentArgument,
    task: TaskArgument,
    home: HomeOption = HOME,
    caller: CallerOption = "",
    as_json: JsonOption = False,
) -> None:
    """Cancel a task that has not ended: its work stops, wherever it runs.

    Example: agentbus tasks cancel greeter task-1
    """
    from agents.cli.tasks import commands as task_commands

    task_commands.cancel(home, caller, (agent, task), as_json=as_json)


@tasks_app.command("dead")
def tasks_dead(
    agent: Annotated[str, typer.Argument(help="The agent's id; all agents if not given.")] = "",
    home: HomeOption = HOME,
    caller: CallerOption = "",
    as_json: JsonOption = False,
) -> None:
    """List your tasks that were given up or could not be read, with the reason; the agent may be down.

    Example: agentbus tasks dead greeter
    """
    from agents.cli.tasks import dead as dead_commands

    dead_commands.show_dead(home, caller, agent, as_json=as_json)


@tasks_app.command("retry")
def tasks_retry(
    agent: AgentArgument,
    task: TaskArgument,
    home: HomeOption = HOME,
    caller: CallerOption = "",
    again: Annotated[bool, typer.Option("--again", help="Also when it was retried before.")] = False,
) -> None:
    """Leave a task that was given up again, as a new task that refers to it; prints the new task's id.

    Repeating this prints the same id and does nothing; --again makes one more.

    Example: agentbus tasks retry greeter task-1
    """
    from agents.cli.tasks import dead as dead_commands

    dead_commands.retry(home, caller, (agent, task), again=again)
