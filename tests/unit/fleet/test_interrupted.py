"""A command that was killed while somebody joined or left: the same command, typed again, goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.home import EXAMPLE, ensure_home
from agents.membership.changes import joined
from agents.membership.repository import JOINS, Commit, commit_fleet, fleet_text, unfinished
from agents.people import fleet_of
from approvals.applying.provisioned import note_by_hand
from approvals.applying.release import make_release
from approvals.git import BRANCH, Git, add_folder, new_repository
from bus.surroundings import Home
from schemas.errors import InvalidDocument


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """The example fleet's, provisioned."""
    home = Home(tmp_path)
    ensure_home(home, EXAMPLE)
    note_by_hand(home, 0)
    return home


def _carol_joins(home: Home, message: str = f"carol: {JOINS} reviewer") -> Commit:
    git = Git(home.repository)
    return commit_fleet(git, joined(fleet_text(git), "carol", "reviewer", {}).text, message)


def test_what_was_begun_and_never_in_force_is_taken_back(home: Home) -> None:
    """The branch is where it was, and there is nothing more to take back."""
    before = fleet_text(Git(home.repository))
    assert unfinished(home) is None
    commit = _carol_joins(home)
    assert unfinished(home) == commit
    commit.take_back()
    assert fleet_text(Git(home.repository)) == before
    assert unfinished(home) is None


def test_what_is_in_force_or_of_somebody_else_stays(home: Home) -> None:
    """Provisioned since, it is done; and a commit that is no such command's is nobody's to take back."""
    _carol_joins(home)
    note_by_hand(home, 1)
    assert unfinished(home) is None
    git = Git(home.repository)
    text = joined(fleet_text(git), "dave", "reviewer", {}).text
    commit_fleet(git, text, "dave joins, by hand")
    assert unfinished(home) is None


def test_links_never_become_a_release(home: Home, tmp_path: Path) -> None:
    """A folder with a link to somewhere is refused before a file of it is written; it says which."""
    odd = tmp_path / "odd"
    odd.mkdir()
    (odd / "os-release").symlink_to("../usr/lib/os-release")
    git = Git(home.repository)
    tree = add_folder(git, odd)
    with pytest.raises(InvalidDocument, match=r"odd/os-release is no plain file \(mode 120000\)"):
        make_release(git, home, "odd", tree)
    assert not (home.root / "releases" / "odd").exists()
    assert git.line("log", "-1", "--format=%s", BRANCH).startswith("Import")


def test_a_repository_without_a_commit_is_no_fleet(tmp_path: Path) -> None:
    """What `fleet init` made before it was killed: nobody takes it for a fleet, and git's words are not shown."""
    home = Home(tmp_path)
    new_repository(home.repository)
    with pytest.raises(InvalidDocument, match="there is no fleet in"):
        fleet_of(home)
