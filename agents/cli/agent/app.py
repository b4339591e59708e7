"""The commands about one agent: its process, its files. Only typer is imported here, as in `agents.cli.app`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agents.cli.options import HOME, AgentArgument, HomeOption, JsonOption

agent_app = typer.Typer(help="One agent's process and files.\n\nExample: agentbus agent validate agents/greeter")


@agent_app.command("run")
def agent_run(file: Annotated[Path, typer.Argument(help="The agent's folder, or its agent.yaml.")]) -> None:
    """Serve one agent until told to stop. Address, keys and state come from the environment.

    Example: agentbus agent run agents/greeter/agent.yaml
    """
    from agents.cli import serve_commands

    serve_commands.agent(file)


@agent_app.command("command", hidden=True)
def agent_command() -> None:
    """Run the command that comes on standard input with its files. What agent-tool@.service starts; nobody else does.

    Example: agentbus agent command
    """
    from agents.tools.shell.within_unit import serve_command

    serve_command()


@agent_app.command("stop")
def agent_stop(agent: AgentArgument, home: HomeOption = HOME) -> None:
    """Stop one agent of the fleet that `agentbus up` runs; its tasks wait.

    Example: agentbus agent stop greeter
    """
    from agents.cli import fleet_commands

    fleet_commands.control(home, "stop-process", agent)


@agent_app.command("start")
def agent_start(agent: AgentArgument, home: HomeOption = HOME) -> None:
    """Start one agent of the fleet that `agentbus up` runs, and wait until it is ready.

    Example: agentbus agent start greeter
    """
    from agents.cli import fleet_commands

    fleet_commands.control(home, "start-process", agent)


@agent_app.command("restart")
def agent_restart(agent: AgentArgument, home: HomeOption = HOME) -> None:
    """Restart one agent of the fleet that `agentbus up` runs, and wait until it is ready.

    Example: agentbus agent restart greeter
    """
    from agents.cli import fleet_commands

    fleet_commands.control(home, "restart", agent)


@agent_app.command("health")
def agent_health(
    agent: Annotated[str, typer.Argument(help="The agent's id; or approvals, applier, sealer, the name of a witness.")],
    home: HomeOption = HOME,
    slot: Annotated[int, typer.Option(min=0, help="Which of its instances.")] = 0,
    detailed: Annotated[bool, typer.Option("--detailed", help="Every component, not only what is amiss.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Ask an agent's process on this machine how it is; exit 1 when it is not ready, 3 when it does not run.

    Example: agentbus agent health greeter --detailed
    """
    from agents.cli.agent import health

    health.health(home, agent, slot, detailed=detailed, as_json=as_json)


@agent_app.command("validate")
def agent_validate(
    paths: Annotated[list[Path], typer.Argument(help="Agents' files or folders, or a fleet's folder with all of it.")],
    strict: Annotated[bool, typer.Option("--strict", help="Take warnings for errors.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Say everything that is wrong with agents' files and handlers; exit 1 when something is, 2 when one is not there.

    Example: agentbus agent validate agents/greeter
    """
    from agents.cli.agent import validate

    validate.validate(paths, is_strict=strict, as_json=as_json)


@agent_app.command("new")
def agent_new(
    name: Annotated[str, typer.Argument(help="The new agent's id: small letters, digits and dashes.")] = "",
    template: Annotated[str, typer.Option("--template", "-t", help="What to begin with; see --list.")] = "basic",
    folder: Annotated[
        Path | None, typer.Option(help="Folder in which to make it: agents/ in a fleet's folder, else here.")
    ] = None,
    fleet: Annotated[
        Path | None, typer.Option(help="A fleet's folder, made if need be; the agent is written into its fleet.yaml.")
    ] = None,
    show_list: Annotated[bool, typer.Option("--list", help="List the templates.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Make an agent from a template: its file, a prompt or a handler, and tests that pass.

    Example: agentbus agent new helper --template basic
    """
    from agents.cli.agent import new

    if show_list:
        new.show_list(as_json=as_json)
    elif name:
        new.new(name, template, new.Where(folder, fleet))
    else:
        raise typer.BadParameter("name the new agent, or write --list to see the templates")


@agent_app.command("show")
def agent_show(
    file: Annotated[Path, typer.Argument(help="The agent's folder, or its agent.yaml.")], as_json: JsonOption = False
) -> None:
    """Show what holds for an agent: each value and where it came from, its models with prices, tools and skills.

    Example: agentbus agent show agents/greeter
    """
    from agents.cli.agent import show

    show.show(file, as_json=as_json)


@agent_app.command("check")
def agent_check(
    folder: Annotated[str, typer.Argument(help="The agent's folder, with agent.yaml; tests are tests/test_*.py.")],
    seconds: Annotated[float, typer.Option(help="How long it may take.")] = 50.0,
    as_json: JsonOption = False,
) -> None:
    """Load an agent and run its tests in a sandbox, as is done with every proposed change; exit 1 when it fails.

    Example: agentbus agent check agents/greeter
    """
    from agents.cli import check_commands

    check_commands.check(folder, seconds, as_json=as_json)


@agent_app.command("mcp")
def agent_mcp(
    folder: Annotated[Path, typer.Argument(help="The agent's folder, or its agent.yaml.")],
    as_json: JsonOption = False,
) -> None:
    """Start an agent's MCP servers once: do they answer, what do they list, which pins has it; exit 1 when one is amiss.

    Example: agentbus agent mcp agents/helper
    """
    from agents.cli import mcp_commands

    mcp_commands.mcp(folder, as_json=as_json)
