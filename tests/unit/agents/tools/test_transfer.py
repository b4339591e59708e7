"""The workspace goes to a unit and comes back as plain files; what a command answers leads nowhere else."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from agents.tools.errors import ToolFailed
from agents.tools.files.workspace import Workspace
from agents.tools.shell import transfer
from agents.tools.shell.transfer import TooMuch, pack, place, unpack


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """With two files, and a link out of it."""
    made = Workspace(tmp_path / "state")
    made.write("notes/first", b"one")
    made.write("second", b"two")
    (tmp_path / "outside").write_bytes(b"untouched")
    (made.root / "link").symlink_to(tmp_path / "outside")
    return made


def packed(workspace: Workspace) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """What is sent, and what it is known by."""
    out = io.BytesIO()
    sums = pack(workspace.root, out)
    out.seek(0)
    with tarfile.open(fileobj=out, mode="r|") as archive:
        return dict(unpack(archive)), sums


def answer(*entries: tuple[tarfile.TarInfo, bytes]) -> tarfile.TarFile:
    """A tar as a command may make it."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for entry, content in entries:
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return tarfile.open(fileobj=io.BytesIO(out.getvalue()), mode="r|")


def file(name: str, content: bytes = b"") -> tuple[tarfile.TarInfo, bytes]:
    """A plain file of an answer."""
    return tarfile.TarInfo(name), content


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tuple[tarfile.TarInfo, bytes]:
    """A link of an answer."""
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, target
    return entry, b""


def test_plain_files_go_and_links_stay(workspace: Workspace) -> None:
    """Every file by its path in the workspace, and nothing that a link leads to."""
    os.mkfifo(workspace.root / "pipe")
    assert packed(workspace)[0] == {"notes/first": b"one", "second": b"two"}


def test_what_came_back_is_how_it_is(workspace: Workspace) -> None:
    """New and changed files are written, those that are gone are removed, others are not touched."""
    _, sent = packed(workspace)
    before = (workspace.root / "notes/first").stat().st_ino
    place(workspace, sent, unpack(answer(file("notes/first", b"one"), file("new/third", b"three"))))
    assert {name: workspace.read(name, 99) for name in ("notes/first", "new/third")} == {
        "notes/first": b"one",
        "new/third": b"three",
    }
    assert (workspace.root / "notes/first").stat().st_ino == before
    assert not (workspace.root / "second").exists()


@pytest.mark.parametrize("name", ["../outside", "/etc/x", "notes/../../x", "a\nb", "link/x", "x/" * 30 + "y"])
def test_names_that_lead_elsewhere_are_refused(workspace: Workspace, tmp_path: Path, name: str) -> None:
    """Upwards, from the root, over a link: the answer is refused, and nothing outside is written."""
    with pytest.raises(ToolFailed):
        place(workspace, {}, unpack(answer(file(name, b"theirs"))))
    assert (tmp_path / "outside").read_bytes() == b"untouched"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["outside", "state"]


def test_links_of_an_answer_are_not_made(workspace: Workspace, tmp_path: Path) -> None:
    """Neither kind of link comes back, and a file of the name of one that is here replaces no target."""
    links = link("a", "/etc/passwd"), link("b", str(tmp_path / "outside"), tarfile.LNKTYPE)
    place(workspace, {}, unpack(answer(*links)))
    assert not (workspace.root / "a").is_symlink()
    assert not (workspace.root / "b").exists()
    with pytest.raises(ToolFailed):
        place(workspace, {}, unpack(answer(file("link", b"theirs"))))
    assert (tmp_path / "outside").read_bytes() == b"untouched"


def test_too_much_is_refused_both_ways(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """More bytes than may be carried are neither sent nor taken."""
    monkeypatch.setattr(transfer, "MAX_BYTES", 4)
    with pytest.raises(TooMuch):
        pack(workspace.root, io.BytesIO())
    with pytest.raises(TooMuch):
        list(unpack(answer(file("a", b"abc"), file("b", b"de"))))
