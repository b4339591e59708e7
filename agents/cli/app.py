"""The command tree. Only typer is imported here, so that `agentbus --help` answers at once.

Exit codes (sysexits): 0 done, 1 the answer is no, 2 cannot tell or wrong usage, 3 stopped, 69 bus down,
75 try again later, 77 not permitted, 78 configuration.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agents.cli.agent.app import agent_app
from agents.cli.audit.app import audit_app
from agents.cli.backup.app import backup, restore
from agents.cli.chat.app import chat
from agents.cli.deploying.app import deploy
from agents.cli.directory.app import agents_app
from agents.cli.doctor.app import doctor
from agents.cli.fleet.app import fleet_app
from agents.cli.install.app import install, uninstall
from agents.cli.options import (
    HOME,
    AgentArgument,
    BudgetOption,
    CallerOption,
    ExtensionOption,
    FileOption,
    HomeOption,
    JsonOption,
)
from agents.cli.pipeline.app import pipeline
from agents.cli.proposals.app import proposals_app, propose
from agents.cli.proposals.glass_app import glass_app
from agents.cli.proposals.policy_app import policy_app
from agents.cli.sections import Sectioned
from agents.cli.sessions.app import sessions_app
from agents.cli.tasks.app import tasks_app
from agents.cli.watching.app import bugreport, logs, status, top

app = typer.Typer(
    name="agentbus",
    cls=Sectioned,
    help="A NATS message bus worker for fleets of AI agents.\n\nExample: agentbus up, then agentbus ask greeter hello",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
approvals_app = typer.Typer(help="The approval service.\n\nExample: agentbus approvals serve")
applier_app = typer.Typer(help="The applier of approved changes.\n\nExample: agentbus applier serve")
sealer_app = typer.Typer(help="The sealer of the audit trail.\n\nExample: agentbus sealer serve")
witness_app = typer.Typer(help="A witness of the audit trail.\n\nExample: agentbus witness serve witness-a")
for name, group in (
    ("agent", agent_app),
    ("agents", agents_app),
    ("fleet", fleet_app),
    ("tasks", tasks_app),
    ("sessions", sessions_app),
    ("audit", audit_app),
    ("policy", policy_app),
    ("break-glass", glass_app),
    ("proposals", proposals_app),
    ("approvals", approvals_app),
    ("applier", applier_app),
    ("sealer", sealer_app),
    ("witness", witness_app),
):
    group.info.no_args_is_help = True
    group.rich_markup_mode = None
    app.add_typer(group, name=name, no_args_is_help=True)


def main() -> None:
    """Run the command line; an error of ours is one sentence on standard error and an exit code."""
    from agents.cli.run import guarded

    guarded(app)


def _version(wanted: bool) -> None:  # noqa: FBT001  typer's way to call an option
    if wanted:
        from importlib.metadata import version

        print(f"agentbus {version('agentbus')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
def up(
    home: HomeOption = HOME,
    fleet: Annotated[
        Path | None,
        typer.Option(help="Folder with fleet.yaml, policy.yaml and agents/, for a new home; or example, newsroom."),
    ] = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="Return when everything is ready; stop it with agentbus down.")
    ] = False,
) -> None:
    """Run a whole fleet on this machine: server, approvals, applier, agents.

    Example: agentbus up --detach
    """
    from agents.cli import fleet_commands

    fleet_commands.up(home, fleet, detach=detach)


@app.command()
def down(home: HomeOption = HOME) -> None:
    """Stop the fleet that `agentbus up` runs.

    Example: agentbus down
    """
    from agents.cli import fleet_commands

    fleet_commands.down(home)


@app.command()
def provision(
    home: HomeOption = HOME,
    fleet: Annotated[
        Path | None,
        typer.Option(help="Folder with fleet.yaml, policy.yaml and agents/, for a new home; or example, newsroom."),
    ] = None,
    approved: Annotated[
        bool,
        typer.Option("--approved", help="Only put in force what was approved, as agentbus-provision.service does."),
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Only say what is otherwise than provisioned, and exit 1 if anything is.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Make keys, server configuration, contexts and streams; a fleet that runs goes on, by reload.

    Example: agentbus provision --home /var/lib/agentbus --fleet ./my-fleet
    """
    from agents.cli import fleet_commands, serve_commands
    from agents.cli.fleet import drift

    if check:
        drift.check(home, as_json=as_json)
    elif approved:
        serve_commands.provision()
    else:
        fleet_commands.provision(home, fleet)


@app.command()
def ask(
    agent: AgentArgument,
    text: Annotated[str, typer.Argument(help="What to say.")] = "",
    home: HomeOption = HOME,
    caller: CallerOption = "",
    skill: Annotated[str, typer.Option(help="The skill to use, where the agent has several.")] = "",
    data: Annotated[str, typer.Option(help="JSON for a typed skill, instead of text.")] = "",
    timeout: Annotated[float, typer.Option(help="Seconds to wait.")] = 60.0,
    file: FileOption = None,
    extension: ExtensionOption = None,
    budget: BudgetOption = "",
    background: Annotated[bool, typer.Option("--background", help="Return a task at once instead of waiting.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Ask an agent and print its answer.

    Example: agentbus ask textstats --data '{"text": "one two"}'
    """
    from agents.cli import ask_commands

    extensions = tuple(extension or ())
    what = ask_commands.Question(agent, text, data, skill, timeout, is_background=background, extensions=extensions)
    ask_commands.ask(home, caller, what.carrying(file, budget), as_json=as_json)


@app.command()
def card(
    agent: AgentArgument,
    home: HomeOption = HOME,
    caller: CallerOption = "",
    unverified: Annotated[bool, typer.Option("--unverified", help="Also a card that the agent did not sign.")] = False,
) -> None:
    """Print an agent's card: what it can do, with the JSON Schemas of its typed skills; exit 1 if it did not sign it.

    Example: agentbus card textstats
    """
    from agents.cli import ask_commands

    ask_commands.card(home, caller, agent, is_verified=not unverified)


app.command("status")(status)
app.command("logs")(logs)
app.command("top")(top)
app.command("bugreport")(bugreport)
app.command("propose")(propose)
app.command("chat")(chat)
app.command("pipeline")(pipeline)
app.command("deploy")(deploy)
app.command("doctor")(doctor)
app.command("install")(install)
app.command("uninstall")(uninstall)
app.command("backup")(backup)
app.command("restore")(restore)


@app.command()
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave the demo's home folder for a look at it.")] = False,
) -> None:
    """Run every journey without a person and say what passed.

    Example: agentbus demo
    """
    from agents.cli.run import log_quietly
    from agents.demo.play import demo as play

    log_quietly()
    play(keep=keep)


@app.command("eval")
def evaluate(
    file: Annotated[Path, typer.Argument(help="The suite: YAML with the agent and its cases.")],
    home: HomeOption = HOME,
    caller: CallerOption = "",
    folder: Annotated[
        Path | None, typer.Option(help="Try the agent in this folder, here, instead of the running one; no record.")
    ] = None,
    at_once: Annotated[int, typer.Option("--at-once", "-j", min=1, max=64, help="Cases at a time.")] = 4,
    record: Annotated[bool, typer.Option(help="Put the result on the audit trail.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Try a suite of cases at a running agent; exit 0 when enough of them pass, 1 when not.

    Example: agentbus eval greeter.eval.yaml
    """
    from agents.cli import eval_commands

    eval_commands.run(file, (home, caller), folder, at_once=at_once, is_recorded=record, as_json=as_json)


@app.command("replay")
def replay(
    file: Annotated[Path, typer.Argument(help="The conversation, as agentbus sessions export writes it.")],
    proposal: Annotated[str, typer.Option(help="The proposal, such as p-7q2fabcd.")],
    home: HomeOption = HOME,
    caller: CallerOption = "",
    record: Annotated[bool, typer.Option(help="Have reviewers see the result in approvals.show.")] = True,
    through: Annotated[
        bool, typer.Option("--through", help="Hold each exchange to its end; calls of tools are answered as recorded.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Hold a recorded conversation again, as a proposal would have the agent; exit 1 when an answer changes.

    No tool runs, and the models are asked with the keys of your environment.

    Example: agentbus replay conversation.json --proposal p-7q2fabcd --through
    """
    from agents.cli import replay_commands

    how = replay_commands.How(is_recorded=record, is_through=through)
    replay_commands.run(file, proposal, home, caller, how, as_json=as_json)


@approvals_app.command("serve")
def approvals_serve() -> None:
    """Run the approval service. Address, keys and state come from the environment.

    Example: agentbus approvals serve
    """
    from agents.cli import serve_commands

    serve_commands.approvals()


@applier_app.command("serve")
def applier_serve() -> None:
    """Run the applier. Address, keys and state come from the environment.

    Example: agentbus applier serve
    """
    from agents.cli import serve_commands

    serve_commands.applier()


@sealer_app.command("serve")
def sealer_serve() -> None:
    """Sign checkpoints of the audit trail. Address, keys and state come from the environment.

    Example: agentbus sealer serve
    """
    from agents.cli import serve_commands

    serve_commands.sealer()


@witness_app.command("serve")
def witness_serve(name: Annotated[str, typer.Argument(help="The witness's name in the fleet file.")]) -> None:
    """Cosign checkpoints of the audit trail. Address, keys and state come from the environment.

    Example: agentbus witness serve witness-a
    """
    from agents.cli import serve_commands

    serve_commands.witness(name)
