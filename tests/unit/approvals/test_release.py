"""Releases are exactly their tree and read-only; the live link is the old or the new one, never missing."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest

from approvals.applying.release import ReleaseDiffers, live_tree, make_release, switch
from approvals.git import tree_of_folder
from bus.surroundings import Home
from tests.unit.approvals.fleet_repository import AGENT_YAML, FORMAL, Desk, plain


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty home."""
    return Home(tmp_path / "home")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """The example fleet in git."""
    return Desk.at(tmp_path)


def test_a_release_is_exactly_its_tree(home: Home, desk: Desk) -> None:
    """Every file with its content and its executable bit, and nothing else."""
    tree = desk.tree({"run.sh": ("100755", b"#!/bin/sh\n"), "lib/a.py": plain(b"a\r\n")})
    folder = make_release(desk.git, home, "greeter", tree)
    assert folder == home.release("greeter", tree)
    assert tree_of_folder(folder) == tree
    assert (folder / "agent.yaml").read_bytes() == AGENT_YAML
    assert (folder / "lib/a.py").read_bytes() == b"a\r\n"


def test_a_release_is_read_only(home: Home, desk: Desk) -> None:
    """No file or folder of it has a write bit, for anybody."""
    tree = desk.tree({"run.sh": ("100755", b"#!/bin/sh\n"), "lib/a.py": plain(b"a")})
    folder = make_release(desk.git, home, "greeter", tree)
    modes = {str(p.relative_to(folder)): stat.S_IMODE(p.stat().st_mode) for p in (folder, *folder.rglob("*"))}
    assert modes == {".": 0o555, "agent.yaml": 0o444, "run.sh": 0o555, "lib": 0o555, "lib/a.py": 0o444}


def test_a_release_is_made_once(home: Home, desk: Desk) -> None:
    """Making it again finds it and checks it."""
    first = make_release(desk.git, home, "greeter", desk.base)
    inode = first.stat().st_ino
    assert make_release(desk.git, home, "greeter", desk.base).stat().st_ino == inode


@pytest.mark.parametrize("how", ["changed", "added", "removed", "made executable", "replaced by a link"])
def test_a_changed_release_is_detected(home: Home, desk: Desk, how: str) -> None:
    """Somebody with the rights to write can change a release, but not unnoticed."""
    folder = make_release(desk.git, home, "greeter", desk.base)
    file = folder / "agent.yaml"
    folder.chmod(0o755)
    file.chmod(0o644)
    if how == "changed":
        file.write_bytes(FORMAL)
    elif how == "added":
        (folder / ".hidden").write_text("x")
    elif how == "made executable":
        file.chmod(0o755)
    else:
        file.unlink()
        if how == "replaced by a link":
            file.symlink_to(desk.git.directory / "HEAD")
    with pytest.raises(ReleaseDiffers, match="remove that folder"):
        make_release(desk.git, home, "greeter", desk.base)


def test_a_half_written_release_is_never_found(home: Home, desk: Desk) -> None:
    """What a crash left behind has another name; the release is made whole all the same."""
    left = home.release("greeter", desk.base).with_name(f".{desk.base}.1")
    left.mkdir(parents=True)
    (left / "agent.yaml").write_text("half")
    assert tree_of_folder(make_release(desk.git, home, "greeter", desk.base)) == desk.base


def test_before_the_first_switch_nothing_is_live(home: Home) -> None:
    """No link, no tree."""
    assert live_tree(home, "greeter") == ""


def test_the_live_link_is_never_missing(home: Home, desk: Desk) -> None:
    """While it is switched back and forth, a reader always finds a whole release, the old one or the new one."""
    trees = [desk.base, desk.tree({"agent.yaml": plain(FORMAL)})]
    contents = {AGENT_YAML, FORMAL}
    for tree in trees:
        make_release(desk.git, home, "greeter", tree)
    switch(home, "greeter", trees[0])
    seen: list[bytes | Exception] = []
    is_over = threading.Event()

    def read() -> None:
        while not is_over.is_set():
            try:
                seen.append((home.live("greeter") / "agent.yaml").read_bytes())
            except OSError as error:
                seen.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(200):
        switch(home, "greeter", trees[number % 2])
        assert live_tree(home, "greeter") == trees[number % 2]
    is_over.set()
    reader.join()
    assert set(seen) <= contents
    assert seen


def test_the_home_may_be_moved(home: Home, desk: Desk, tmp_path: Path) -> None:
    """The link is relative, so a home that is copied elsewhere leads to its own releases."""
    make_release(desk.git, home, "greeter", desk.base)
    switch(home, "greeter", desk.base)
    moved = Home(tmp_path / "moved")
    home.root.rename(moved.root)
    assert (moved.live("greeter") / "agent.yaml").read_bytes() == AGENT_YAML
