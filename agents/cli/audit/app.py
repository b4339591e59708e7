"""`agentbus audit …`: the auditor's part of the command tree. Only typer is imported here, as in `agents.cli.app`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agents.cli.options import HOME, HomeOption, JsonOption

audit_app = typer.Typer(help="The audit trail.\n\nExample: agentbus audit verify")

_SinceOption = Annotated[
    str, typer.Option(help="From this time on: so long ago (10m, 2h, 7d) or 2030-01-31T07:00:00Z.")
]
_UntilOption = Annotated[str, typer.Option(help="Up to this time, written in the same way.")]


@audit_app.command("tail")
def audit_tail(
    home: HomeOption = HOME,
    count: Annotated[int, typer.Option("-n", help="Events to show before following.")] = 10,
    as_json: JsonOption = False,
) -> None:
    """Show the last events and follow the stream until Ctrl-C.

    Example: agentbus audit tail -n 20
    """
    from agents.cli.audit import tail as audit_commands

    audit_commands.tail(home, count, as_json=as_json)


@audit_app.command("replay")
def audit_replay(
    home: HomeOption = HOME,
    start: Annotated[int, typer.Option("--from", help="First stream sequence.")] = 1,
    since: _SinceOption = "",
    until: _UntilOption = "",
    subject: Annotated[str, typer.Option(help="Only these subjects, such as 'audit.agent.greeter.>'.")] = "",
    agent: Annotated[str, typer.Option(help="Only events of this agent or component.")] = "",
    kind: Annotated[
        str, typer.Option("--type", help="Only events of this type, such as request.refused or proposal.")
    ] = "",
    correlation: Annotated[str, typer.Option(help="Only events of this conversation.")] = "",
    task: Annotated[str, typer.Option(help="Only this task, and what was done for it; see also --agent.")] = "",
    outcome: Annotated[str, typer.Option(help="Only success, failure, denied or unknown.")] = "",
    limit: Annotated[int, typer.Option("--limit", "-n", help="At most so many events; 0 is no limit.")] = 0,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new events until Ctrl-C.")] = False,
    tree: Annotated[
        str,
        typer.Option(help="A whole conversation as a tree: its correlation, or the id of a task or proposal in it."),
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Print what happened, one line per event, in the order of the stream; or one conversation as a tree.

    Times are those at which the server stored the events.

    Example: agentbus audit replay --since 2h --agent greeter --outcome denied
    """
    from agents.cli.audit import replay as command
    from agents.cli.audit.tree import show_tree

    times = command.Times(start, since, until)
    which = command.Which(subject, agent, kind, correlation, task, outcome)
    shape = command.Shape(limit, is_followed=follow, is_json=as_json)
    if tree:
        show_tree(home, tree, command.selection(times, which), shape)
    else:
        command.replay(home, command.selection(times, which), shape)


@audit_app.command("orphans")
def audit_orphans(
    home: HomeOption = HOME,
    since: _SinceOption = "",
    agent: Annotated[str, typer.Option(help="Only what this agent began.")] = "",
    older: Annotated[
        str, typer.Option(help="Only what a process that still runs began so long ago; what others began always.")
    ] = "1m",
    as_json: JsonOption = False,
) -> None:
    """List what was begun and has no known end: intents, requests, tasks, proposals; exit 1 when there is something.

    Example: agentbus audit orphans --since 7d
    """
    from agents.cli.audit import cases as audit_cases
    from agents.cli.audit.replay import Times, Which, selection

    within = selection(Times(since=since), Which())
    audit_cases.orphans(home, within, audit_cases.Begun(agent, older), as_json=as_json)


@audit_app.command("why")
def audit_why(
    proposal: Annotated[str, typer.Argument(help="The proposal's id, such as p-7q2fabcd.")],
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Tell the story of a change: who proposed it from which work, who read it, who voted, what became of it.

    Example: agentbus audit why p-7q2fabcd
    """
    from agents.cli.audit import cases as audit_cases

    audit_cases.why(home, proposal, as_json=as_json)


@audit_app.command("state")
def audit_state(
    home: HomeOption = HOME,
    at: Annotated[
        str, typer.Option("--at", help="The moment: so long ago (10m, 2h, 7d) or 2030-01-31T07:00:00Z.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Show what was in force at a moment: each agent's configuration, the rules, the proposals that waited.

    Example: agentbus audit state --at 2h
    """
    from agents.cli.audit import cases as audit_cases

    audit_cases.state(home, at, as_json=as_json)


@audit_app.command("export")
def audit_export(
    to: Annotated[str, typer.Option("--format", help="cloudevents, otlp, ocsf or csv.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="A new file, instead of standard output.")
    ] = None,
    home: HomeOption = HOME,
    start: Annotated[int, typer.Option("--from", help="First stream sequence.")] = 1,
    since: _SinceOption = "",
    until: _UntilOption = "",
    agent: Annotated[str, typer.Option(help="Only events of this agent or component.")] = "",
    kind: Annotated[str, typer.Option("--type", help="Only events of this type or domain.")] = "",
) -> None:
    """Write the trail, a line for each event: CloudEvents, OpenTelemetry log records, OCSF 1.8, or CSV.

    Example: agentbus audit export --format ocsf --since 1d -o yesterday.ndjson
    """
    from agents.cli.audit import export as command
    from agents.cli.audit.replay import Times, Which, selection

    command.export(home, selection(Times(start, since, until), Which(agent=agent, kind=kind)), to, output)


@audit_app.command("verify")
def audit_verify(
    home: HomeOption = HOME,
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option(help="A checkpoint that you kept, which the trail must continue; may be given several times."),
    ] = None,
    offline: Annotated[
        Path | None, typer.Option(help="A backup to check in place of the stream; no server is asked.")
    ] = None,
    begin: Annotated[
        Path | None,
        typer.Option("--from", help="A checkpoint that you kept and trust: only what is after it is checked."),
    ] = None,
    from_start: Annotated[
        bool, typer.Option("--from-start", help="Begin anew, also when a run before was interrupted.")
    ] = False,
    state: Annotated[
        Path | None, typer.Option(help="Your folder for how far a run came; XDG_STATE_HOME/agentbus if not given.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check the whole trail: exit 0 sound, 1 tampered with, 2 cannot tell.

    Interrupted, it is gone on with by the next run.

    Example: agentbus audit verify --checkpoint last-year.checkpoint
    """
    from agents.cli.audit import backup as backup_commands
    from agents.cli.audit import verify as verify_commands

    wanted = verify_commands.Wanted(tuple(checkpoint or ()), begin, from_start, state)
    if offline:
        backup_commands.verify_offline(home, offline, wanted, as_json=as_json)
    verify_commands.verify(home, wanted, as_json=as_json)


@audit_app.command("backup")
def audit_backup(
    directory: Annotated[Path, typer.Argument(help="The folder; a later backup into it adds what is new.")],
    home: HomeOption = HOME,
) -> None:
    """Copy the trail into a folder, which `agentbus audit verify --offline` checks without a server.

    Example: agentbus audit backup /mnt/backup/trail
    """
    from agents.cli.audit import backup as backup_commands

    backup_commands.backup(home, directory)


@audit_app.command("snapshot")
def audit_snapshot(
    directory: Annotated[
        Path, typer.Argument(help="The folder; a backup that is in it is brought up to the same moment.")
    ],
    home: HomeOption = HOME,
) -> None:
    """Copy the trail so that it can be restored; the fleet must be stopped.

    Example: agentbus audit snapshot /mnt/backup/trail
    """
    from agents.cli.audit import restore as restore_commands

    restore_commands.snapshot(home, directory)


@audit_app.command("restore")
def audit_restore(
    directory: Annotated[Path, typer.Argument(help="The folder that `agentbus audit snapshot` wrote to.")],
    home: HomeOption = HOME,
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option(help="A checkpoint that you kept, which the copy must continue; may be given several times."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Put a lost trail back from a snapshot, verified before and after; the fleet must be stopped.

    Exits as verify does; unless it is 0, nothing was restored.

    Example: agentbus audit restore /mnt/backup/trail --checkpoint last-year.checkpoint
    """
    from agents.cli.audit import restore as restore_commands

    restore_commands.restore(home, directory, tuple(checkpoint or ()), as_json=as_json)


@audit_app.command("rotate")
def audit_rotate(
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Put away what the trail's stream holds in a sealed archive; the fleet must be stopped. Numbers go on.

    The trail is verified first: unless it is sound nothing is done, and the exit code is that of verify. Interrupted,
    even by kill -9, nothing is lost: the fleet may refuse to start until the same command has gone on. Every command
    of an auditor reads archives and stream as one trail. Also for the units of systemd: stop them and nats-server first.

    Example: agentbus down && agentbus audit rotate && agentbus up
    """
    from agents.cli.audit import rotate as rotate_commands

    rotate_commands.rotate(home, as_json=as_json)


@audit_app.command("archives")
def audit_archives(
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """List the archives of a trail that was rotated: range, size, Merkle root; exit 1 when one is not what it was.

    Example: agentbus audit archives --json
    """
    from agents.cli.audit import rotate as rotate_commands

    rotate_commands.archives(home, as_json=as_json)


@audit_app.command("prove")
def audit_prove(
    sequence: Annotated[int, typer.Argument(min=1, help="The message's stream sequence.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="The file; SEQUENCE.tlog-proof if not given.")
    ] = None,
    home: HomeOption = HOME,
) -> None:
    """Write a proof that a message is on the trail, with the message in it; exit 1 when no checkpoint covers it yet.

    Example: agentbus audit prove 12 -o vote.tlog-proof
    """
    from agents.cli.audit import prove as prove_commands

    prove_commands.prove(home, sequence, output)


@audit_app.command("check-proof")
def audit_check_proof(
    file: Annotated[Path, typer.Argument(help="The proof file.")],
    policy: Annotated[
        Path | None, typer.Option(help="Public keys of the sealer and its witnesses; the fleet's if not given.")
    ] = None,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Check a proof file with public keys alone, without the fleet; exit 1 when it proves nothing.

    Example: agentbus audit check-proof vote.tlog-proof --policy seal.policy
    """
    from agents.cli.audit import prove as prove_commands

    prove_commands.check(home, file, policy, as_json=as_json)


@audit_app.command("consistency")
def audit_consistency(
    old: Annotated[str, typer.Argument(help="The older checkpoint: its size on the stream, or a file.")],
    new: Annotated[str, typer.Argument(help="The newer checkpoint.")],
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Check that one checkpoint is the beginning of another; exit 1 when it is not.

    Example: agentbus audit consistency last-year.checkpoint .agentbus/state/sealer/checkpoint
    """
    from agents.cli.audit import prove as prove_commands

    prove_commands.consistency(home, (old, new), as_json=as_json)
