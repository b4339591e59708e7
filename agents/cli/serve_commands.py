"""The commands that are processes: `agent run`, `approvals serve`, `applier serve`, `provision --approved`, `sealer serve`, `witness serve`."""

from __future__ import annotations

from pathlib import Path

from agents.cli.run import log_to_stdout, run_async


def agent(file: Path) -> None:
    """Serve one agent."""
    log_to_stdout()
    from agents.runtime.worker import run_agent
    from bus.surroundings import surroundings

    run_async(run_agent(file, surroundings()))


def approvals() -> None:
    """Run the approval service."""
    log_to_stdout()
    from agents.processes.approvers import serve_approvals
    from bus.surroundings import surroundings

    run_async(serve_approvals(surroundings()))


def applier() -> None:
    """Run the applier."""
    log_to_stdout()
    from agents.processes.approvers import serve_applier
    from bus.surroundings import surroundings

    run_async(serve_applier(surroundings()))


def provision() -> None:
    """Put in force what was approved; everything else that it needs to know the unit says."""
    log_to_stdout()
    from agents.processes.provisioning import provision_approved
    from bus.surroundings import surroundings

    print(f"in force: {run_async(provision_approved(surroundings()))}")


def sealer() -> None:
    """Run the sealer of the trail."""
    log_to_stdout()
    from agents.processes.sealing import serve_sealer
    from bus.surroundings import surroundings

    run_async(serve_sealer(surroundings()))


def witness(name: str) -> None:
    """Run a witness of the trail."""
    log_to_stdout()
    from agents.processes.sealing import serve_witness
    from bus.surroundings import surroundings

    run_async(serve_witness(surroundings(), name))
