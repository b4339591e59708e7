"""A tree as an archive: packed exactly, and unpacked without leaving the folder."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from approvals.git import add_folder, new_repository
from approvals.trial import tree_tar
from approvals.trial.tree_tar import tar_of_folder, tar_of_tree, unpack
from schemas.errors import InvalidDocument


def archive(*members: tarfile.TarInfo) -> bytes:
    """An archive of these entries, each file with the text `x`."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w:") as tar:
        for member in members:
            member.size = 1 if member.isreg() else 0
            tar.addfile(member, io.BytesIO(b"x"))
    return written.getvalue()


def entry(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    """One entry."""
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An agent's folder."""
    made = tmp_path / "agent"
    (made / "tests").mkdir(parents=True)
    (made / "agent.yaml").write_text("agent: {}\n")
    (made / "tests" / "test_it.py").write_text("x = 'ä'\n")
    (made / "run.sh").write_text("#!/bin/sh\n")
    (made / "run.sh").chmod(0o755)
    return made


@pytest.mark.parametrize("of_git", [True, False])
def test_what_is_packed_comes_out(tmp_path: Path, folder: Path, *, of_git: bool) -> None:
    """From git or from a folder: the same files, contents and executable ones."""
    git = new_repository(tmp_path / "fleet.git")
    packed = tar_of_tree(git, add_folder(git, folder)) if of_git else tar_of_folder(folder)
    out = tmp_path / "out"
    out.mkdir()
    unpack(packed, out)
    files = {path.relative_to(out).as_posix(): path for path in out.rglob("*") if path.is_file()}
    assert files.keys() == {"agent.yaml", "run.sh", "tests/test_it.py"}
    assert {name: path.read_bytes() for name, path in files.items()} == {n: (folder / n).read_bytes() for n in files}
    assert [name for name, path in files.items() if path.stat().st_mode & 0o111] == ["run.sh"]


def test_git_attributes_change_nothing(tmp_path: Path, folder: Path) -> None:
    """Attributes with which git itself would leave a file out of an archive, or write into it, are not obeyed."""
    (folder / ".gitattributes").write_text("tests export-ignore\nagent.yaml export-subst\n")
    (folder / "agent.yaml").write_text("$Format:%H$\n")
    git = new_repository(tmp_path / "fleet.git")
    out = tmp_path / "out"
    out.mkdir()
    unpack(tar_of_tree(git, add_folder(git, folder)), out)
    assert (out / "agent.yaml").read_text() == "$Format:%H$\n"
    assert (out / "tests" / "test_it.py").exists()


@pytest.mark.parametrize(
    "members",
    [
        [entry("/tmp/left")],
        [entry("../left")],
        [entry("a/../../left")],
        [entry("link", tarfile.SYMTYPE, "..")],
        [entry("link", tarfile.SYMTYPE, "/tmp"), entry("link/left")],
        [entry("hard", tarfile.LNKTYPE, "/etc/passwd")],
        [entry("pipe", tarfile.FIFOTYPE)],
        [entry("device", tarfile.CHRTYPE)],
        [entry("twice"), entry("twice")],
        [entry("file"), entry("file/below")],
        [entry(".")],
    ],
    ids=lambda members: "+".join(member.name for member in members),
)
def test_only_plain_files_below_the_folder_are_unpacked(tmp_path: Path, members: list[tarfile.TarInfo]) -> None:
    """An absolute or climbing path, a link of any kind, a device, or the same path again refuses the archive."""
    out = tmp_path / "deep" / "out"
    out.mkdir(parents=True)
    with pytest.raises(InvalidDocument):
        unpack(archive(*members), out)
    assert [path for path in tmp_path.rglob("*") if path.is_symlink() or path.name == "left"] == []
    assert not Path("/tmp/left").exists()


@pytest.mark.parametrize("content", [b"", b"no archive", b"\x1f\x8b" + b"x" * 600, archive(entry("a"))[:300]])
def test_what_is_no_archive_writes_nothing(tmp_path: Path, content: bytes) -> None:
    """An empty, compressed or cut archive is refused, or holds nothing."""
    with suppress(InvalidDocument):
        unpack(content, tmp_path)
    assert list(tmp_path.iterdir()) == []


def many_files(folder: Path) -> None:
    for number in range(tree_tar.MAX_FILES):
        (folder / str(number)).touch()


def much(folder: Path) -> None:
    (folder / "big").write_bytes(bytes(tree_tar.MAX_BYTES))


def a_link(folder: Path) -> None:
    (folder / "link").symlink_to("/etc/passwd")


@pytest.mark.parametrize("change", [many_files, much, a_link])
def test_what_could_not_be_checked_is_not_packed(tmp_path: Path, folder: Path, change: Callable[[Path], None]) -> None:
    """Too many files, too large ones and links are named, from a folder and from git."""
    change(folder)
    git = new_repository(tmp_path / "fleet.git")
    tree = add_folder(git, folder)
    for pack in (partial(tar_of_folder, folder), partial(tar_of_tree, git, tree)):
        with pytest.raises(InvalidDocument, match=r"too much to check|not a plain file"):
            pack()
