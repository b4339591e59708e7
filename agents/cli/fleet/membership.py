"""`agentbus fleet add` and `fleet remove`: what is done is said as it happens, and at the end what is left to do."""

from __future__ import annotations

import getpass
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from agents.cli.agent.new import copied, templates
from agents.cli.run import log_quietly, run_async
from agents.installing.settle import users_left
from agents.membership.keeping import kept_of, purge
from agents.membership.moving import Joining, join, leave, take_back_interrupted
from agents.membership.roles import AGENT, REVIEWER, role_of
from agents.people import fleet_of
from approvals.git import Git
from approvals.repository import rules_in_force
from approvals.verdict.policy_check import findings_of
from bus.surroundings import Home
from schemas.errors import InvalidDocument

_TEMPLATE = "basic"


def add(root: Path, name: str, role: str, rights: Mapping[str, Any]) -> None:
    """Let a person or a witness join."""
    _join(home_of(root), Joining(name, role, rights))


def add_agent(root: Path, name: str, template: str, folder: Path | None, asks: str) -> None:
    """Let an agent join, with the files of a folder or a template, or those that the repository has of it.

    Raises:
        InvalidDocument: both are named, or there is no such template or folder.
    """
    if template and folder:
        raise InvalidDocument("name a template or a folder, not both")
    home = home_of(root)
    rights: dict[str, Any] = {"asks": asks.split(",")} if asks else {}
    if folder is not None:
        if not folder.is_dir():
            raise InvalidDocument(f"{folder} is no folder")
        return _join(home, Joining(name, AGENT, rights, folder.resolve()))
    if not template and Git(home.repository).tree_of_agent(name):
        return _join(home, Joining(name, AGENT, rights))
    with tempfile.TemporaryDirectory(prefix="agentbus-new-") as place:
        files = copied(template or _TEMPLATE, name, Path(place) / name)
        return _join(home, Joining(name, AGENT, {**_rights_of(home, template), **rights}, files))


def _rights_of(home: Home, template: str) -> dict[str, Any]:
    """What the template wants to be allowed, without asking agents that are not in the fleet."""
    wanted: dict[str, Any] = yaml.safe_load(templates()[template or _TEMPLATE].rights or "{}")
    known = [agent for agent in wanted.pop("asks", ()) if agent in fleet_of(home).agents]
    return {**wanted, "asks": known} if known else wanted


def _join(home: Home, joining: Joining) -> None:
    moved = run_async(join(home, joining, account(), say))
    tried = f"; imports of its account that were tried and answer: {moved.probed}" if moved.probed else ""
    print(f"{moved.member} is in the fleet as {moved.role}{tried}")
    tell(moved.steps)


def remove(root: Path, name: str, *, is_purging: bool, is_sure: bool) -> None:
    """Have a member leave; what is kept, and where, is said."""
    home = home_of(root)
    was = role_of(fleet_of(home), name)
    if is_purging and not is_sure:
        _ask(f"Remove {name} with its state, releases and streams, for good?")
    moved = run_async(leave(home, name, account(), say, is_purging=is_purging))
    print(f"{name} is not in the fleet any more; its keys are refused")
    for path in purge(home, name) if is_purging else ():
        print(f"removed: {path}")
    for path in kept_of(home, name):
        print(f"kept: {path}")
    for user in users_left(home.root, name):
        print(f"kept: user {user}, whose number owns files; when nothing of it is left: userdel {user}")
    print("kept: its events, on the audit trail" + (f"; its files, in {home.repository}" if was == AGENT else ""))
    tell(moved.steps)
    if was == REVIEWER:
        _warn_of_policy(home)


def tell(steps: Sequence[str]) -> None:
    """What is left to do."""
    if steps:
        print("next:")
    for step in steps:
        print(f"  {step}")


def _warn_of_policy(home: Home) -> None:
    rules = rules_in_force(Git(home.repository))
    for finding in findings_of(rules.policy, rules.fleet):
        print(f"policy.yaml: {finding.problem}; {finding.fix}", file=sys.stderr)


def _ask(question: str) -> None:
    """Go on when a person says so.

    Raises:
        InvalidDocument: there is nobody to ask, or the answer is no.
    """
    if not sys.stdin.isatty():
        raise InvalidDocument("nobody is there to be asked; add --yes")
    if input(f"{question} [y/N] ").strip().lower() not in {"y", "yes"}:
        raise InvalidDocument("nothing was changed")


def account() -> str:
    """Who runs this, as the host says."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return str(os.getuid())


def home_of(root: Path) -> Home:
    log_quietly()
    home = Home(root.resolve())
    fleet_of(home)  # says what to do where there is none
    take_back_interrupted(home)
    return home


def say(what: str) -> None:
    print(f"agentbus: {what}", file=sys.stderr, flush=True)
