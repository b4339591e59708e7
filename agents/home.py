"""A fleet's home folder: made from a folder of files once, then changed only through approvals and git."""

from __future__ import annotations

from pathlib import Path

from agents.ports import require_own_ports
from agents.runtime.loading.load import load_agent
from approvals.applying.release import live_tree, make_release, switch
from approvals.change.kinds import FLEET_FILE, POLICY_FILE
from approvals.git import AGENTS, BRANCH, Git, add_folder, new_repository
from approvals.repository import rules_in_force
from bus.provision.provision import write_files
from bus.surroundings import Home
from schemas.agent.reading import NOWHERE
from schemas.documents import Document, parse_yaml
from schemas.errors import InvalidDocument
from schemas.fleet import Fleet
from schemas.policy import Policy

EXAMPLE = Path(__file__).parent / "examples"
NEWSROOM = Path(__file__).parent / "newsroom"
FLEETS = {"example": EXAMPLE, "newsroom": NEWSROOM}
"""The fleets that come with the product, by the names that `--fleet` takes."""


def fleet_folder(wanted: Path | None) -> Path:
    """The folder of a fleet that `--fleet` names: one that is there, or one of the product's own; the example without it."""
    if wanted is None:
        return EXAMPLE
    return wanted if wanted.exists() else FLEETS.get(str(wanted), wanted)


def ensure_home(home: Home, source: Path = EXAMPLE) -> Fleet:
    """Make the home from the files in `source` unless it has a repository already; returns the fleet in force.

    Every agent gets a release and a live link; keys, contexts and server configuration are written.

    Raises:
        InvalidDocument: a file of the fleet cannot be used; the message names it.
    """
    home.root.mkdir(parents=True, exist_ok=True, mode=0o700)
    git = new_repository(home.repository)
    if not git.line("for-each-ref", BRANCH):
        _import(git, source.resolve())
    fleet = rules_in_force(git).fleet
    for agent in fleet.agents:
        ensure_live(git, home, agent)
    require_own_ports(fleet, {agent: home.live(agent) for agent in fleet.agents}, NOWHERE)
    write_files(fleet, home)
    return fleet


def _import(git: Git, source: Path) -> None:
    if not (source / FLEET_FILE).is_file():
        raise InvalidDocument(f"{source} has no {FLEET_FILE}; name a folder with {FLEET_FILE}, policy.yaml and agents/")
    _require_sound(source)
    tree = add_folder(git, source)
    commit = git.commit(tree, f"Import the fleet from {source.name}\n", "provision")
    git.run("update-ref", BRANCH, commit)


def _require_sound(source: Path) -> None:
    """All that is wrong is said of the files that its author has, before a home holds a copy of them for good."""
    fleet = _read(source / FLEET_FILE, Fleet)
    _read(source / POLICY_FILE, Policy)
    folders = {agent: source / AGENTS / agent for agent in fleet.agents}
    wrong = [error for agent, folder in folders.items() if (error := _wrong_with(agent, folder))]
    if wrong:
        raise InvalidDocument("\n".join(map(str, wrong)))
    require_own_ports(fleet, folders, NOWHERE)


def _read[T: Document](path: Path, kind: type[T]) -> T:
    try:
        return parse_yaml(path.read_text(), kind, str(path))
    except OSError as error:
        raise InvalidDocument(f"cannot read {path}: {error.strerror}") from None


def _wrong_with(agent: str, folder: Path) -> InvalidDocument | None:
    if not folder.is_dir():
        return InvalidDocument(f"{FLEET_FILE} names agent {agent}, but there is no folder {AGENTS}/{agent}")
    try:
        _load(agent, folder)
    except InvalidDocument as error:
        return error
    return None


def _load(agent: str, folder: Path) -> None:
    """As reviews and trials read it: a variable without a default would stop the next change of this agent."""
    loaded = load_agent(folder, NOWHERE)
    if loaded.id != agent:
        raise InvalidDocument(f"{loaded.path} says that the agent is {loaded.id}; its folder is called {agent}")


def ensure_live(git: Git, home: Home, agent: str) -> None:
    """Make the release of an agent's folder in force, and the link to it; what is there already is kept.

    Raises:
        InvalidDocument: there is no such folder, or the agent cannot be loaded from it.
    """
    tree = git.tree_of_agent(agent)
    if tree is None:
        raise InvalidDocument(f"{FLEET_FILE} names agent {agent}, but there is no folder agents/{agent}")
    if live_tree(home, agent) != tree:  # the branch is in force; what an interrupted applier left is done again
        make_release(git, home, agent, tree)
        switch(home, agent, tree)
    _load(agent, home.live(agent))
