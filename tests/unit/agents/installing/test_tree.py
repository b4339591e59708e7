"""Files under a root: nothing gets out of it, nothing is half written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agents.installing.errors import NotPossible, UnsafePlace
from agents.installing.tree import Tree


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder that nothing may be written to."""
    folder = tmp_path / "outside"
    folder.mkdir()
    return folder


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """An empty root."""
    root = tmp_path / "root"
    root.mkdir()
    return Tree(root)


def test_a_file_is_written_with_its_folders_and_its_mode_whatever_the_umask(tree: Tree) -> None:
    """Root's umask is often 077; what is installed is for everybody."""
    before = os.umask(0o077)
    try:
        tree.write("/etc/a/b.conf", b"text", 0o755)
    finally:
        os.umask(before)
    assert tree.read("/etc/a/b.conf") == b"text"
    assert [tree.at(path).stat().st_mode & 0o777 for path in ("/etc", "/etc/a", "/etc/a/b.conf")] == [0o755] * 3
    assert [path.name for path in tree.at("/etc/a").iterdir()] == ["b.conf"]


@pytest.mark.parametrize("link", ["etc", "etc/systemd", "etc/systemd/system"])
def test_a_link_among_the_folders_is_refused(tree: Tree, outside: Path, link: str) -> None:
    """Whoever made the root's content does not choose where root writes."""
    place = tree.root / link
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(outside)
    for change in (lambda path: tree.write(path, b""), lambda path: tree.link(path, "x"), tree.make_folder, tree.check):
        with pytest.raises(UnsafePlace, match="put a folder there"):
            change("/etc/systemd/system/x.service")
    assert list(outside.iterdir()) == []


def test_a_link_in_the_files_place_is_replaced(tree: Tree, outside: Path) -> None:
    """It is never written through, and never read as if it were the file."""
    victim = outside / "victim"
    victim.write_bytes(b"old")
    tree.make_folder("/etc")
    for name in ("x.conf", ".x.conf.new"):
        (tree.root / "etc" / name).symlink_to(victim)
    assert tree.read("/etc/x.conf") is None
    assert tree.is_there("/etc/x.conf")
    tree.write("/etc/x.conf", b"new")
    assert (victim.read_bytes(), tree.read("/etc/x.conf")) == (b"old", b"new")
    assert not (tree.root / "etc" / "x.conf").is_symlink()


def test_a_link_is_changed_in_one_step(tree: Tree) -> None:
    """It leads to the old place or to the new one."""
    tree.link("/opt/current", "releases/1")
    tree.link("/opt/current", "releases/2")
    assert tree.link_target("/opt/current") == "releases/2"
    assert tree.link_target("/opt/none") == ""
    tree.remove("/opt/current")
    tree.remove("/opt/current")
    assert not tree.is_there("/opt/current")


def test_what_is_no_file_is_not_read(tree: Tree) -> None:
    """A pipe in a file's place does not keep an installation waiting."""
    tree.make_folder("/etc")
    os.mkfifo(tree.root / "etc" / "x.conf")
    assert tree.read("/etc/x.conf") is None


def test_two_do_not_install_at_once(tree: Tree) -> None:
    """The second is told so, and may when the first is done."""
    with tree.alone(), pytest.raises(NotPossible, match="another installation"), tree.alone():
        pass
    with tree.alone():
        assert list(tree.root.iterdir()) == []
