"""The workspace: nothing outside it is read or written, whatever lies in it and whatever path is asked for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from agents.tools.catalogue import Place
from agents.tools.errors import ToolFailed, ToolRefused
from agents.tools.files import workspace
from agents.tools.sources import rows_of
from schemas.agent import Tools
from tests.harness.toolbox import called, toolbox

SECRET = "a secret outside"


class Stage:
    """The three tools at a workspace, and a secret beside it."""

    def __init__(self, state: Path, settings: dict[str, Any]) -> None:
        self.root = state / "workspace"
        self.root.mkdir(parents=True)
        self.secret = state / "secret.txt"
        self.secret.write_text(SECRET)
        names = dict.fromkeys(("read", "write", "edit"), settings)
        self._box = toolbox(rows_of(Tools.model_validate(names), Place(state, state)))

    async def call(self, name: str, **arguments: Any) -> str:
        """What the model is told."""
        return await called(self._box, name, **arguments)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path, {})


async def test_what_is_written_is_read(stage: Stage) -> None:
    """Folders are made on the way; an edit changes one place."""
    assert await stage.call("write", path="notes/a.md", content="one\ntwo\n") == "wrote 8 bytes to notes/a.md"
    assert await stage.call("read", path="notes/a.md") == "one\ntwo\n"
    assert await stage.call("edit", path="notes/a.md", find="two", replace="2") == "changed notes/a.md"
    assert await stage.call("read", path="notes/a.md", first_line=2) == "[lines 2 to 2 of 2]\n2\n"
    assert await stage.call("read") == "notes/"
    assert await stage.call("read", path="notes") == "a.md"


@pytest.mark.parametrize(
    "path",
    ["../secret.txt", "/etc/passwd", "a/../../secret.txt", "./a", "a//b", "..", "a/..", "a\0b", "a\nb", "x/" * 30],
)
@pytest.mark.parametrize("tool", ["read", "write", "edit"])
async def test_no_path_leads_out(stage: Stage, tool: str, path: str) -> None:
    """Neither upwards nor from the root; the model is told how a path looks."""
    rest = {"read": {}, "write": {"content": "x"}, "edit": {"find": "a", "replace": "b"}}[tool]
    with pytest.raises(ToolFailed):
        await stage.call(tool, path=path, **rest)
    assert stage.secret.read_text() == SECRET


def _link_to_file(stage: Stage) -> str:
    (stage.root / "link").symlink_to(stage.secret)
    return "link"


def _link_to_folder(stage: Stage) -> str:
    (stage.root / "link").symlink_to(stage.secret.parent)
    return "link/secret.txt"


def _link_within(stage: Stage) -> str:
    (stage.root / "there").mkdir()
    (stage.root / "there" / "a").write_text("a")
    (stage.root / "link").symlink_to("there")
    return "link/a"


def _link_to_process(stage: Stage) -> str:
    (stage.root / "link").symlink_to(f"/proc/self/fd/{os.open(stage.secret, os.O_RDONLY)}")
    return "link"


@pytest.mark.parametrize("plant", [_link_to_file, _link_to_folder, _link_within, _link_to_process])
@pytest.mark.parametrize("tool", ["read", "write", "edit"])
async def test_no_link_is_followed(stage: Stage, tool: str, plant: Any) -> None:
    """Not at the end of a path and not on its way, wherever it leads."""
    path = plant(stage)
    rest = {"read": {}, "write": {"content": "x"}, "edit": {"find": "a", "replace": "b"}}[tool]
    with pytest.raises(ToolFailed):
        await stage.call(tool, path=path, **rest)
    assert stage.secret.read_text() == SECRET


async def test_a_link_in_the_place_of_the_workspace_is_not_followed(stage: Stage) -> None:
    """The folder itself is no link either."""
    stage.root.rmdir()
    stage.root.symlink_to(stage.secret.parent)
    with pytest.raises(ToolFailed, match="no folder"):
        await stage.call("read", path="secret.txt")


async def test_a_folder_that_becomes_a_link_meanwhile_leads_nowhere(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Swapped between two steps of the way: what was opened is what is written."""
    (stage.root / "a").mkdir()
    (stage.root / "a" / "secret.txt").write_text("inside")
    real = workspace._step

    def swap(folder: int, name: str, *, make: bool) -> int:
        opened = real(folder, name, make=make)
        (stage.root / "a").rename(stage.root / "b")
        (stage.root / "a").symlink_to(stage.secret.parent)
        return opened

    monkeypatch.setattr(workspace, "_step", swap)
    await stage.call("write", path="a/secret.txt", content="changed")
    assert (stage.root / "b" / "secret.txt").read_text() == "changed"
    assert stage.secret.read_text() == SECRET


async def test_what_is_no_file_is_refused_at_once(stage: Stage) -> None:
    """A pipe does not hang, a folder is no file, a device is none."""
    os.mkfifo(stage.root / "pipe")
    (stage.root / "folder").mkdir()
    with pytest.raises(ToolFailed, match="no plain file"):
        await stage.call("read", path="pipe")
    with pytest.raises(ToolFailed, match="no plain file"):
        await stage.call("write", path="pipe", content="x")
    with pytest.raises(ToolFailed, match="is a folder"):
        await stage.call("write", path="folder", content="x")


async def test_what_is_no_text_is_said_so(stage: Stage) -> None:
    """A model is told that a file is none of text, and how long it is."""
    (stage.root / "zero").write_bytes(b"a\0b")
    (stage.root / "latin").write_bytes("é".encode("latin-1"))
    for name in ("zero", "latin"):
        with pytest.raises(ToolFailed, match=r"no text in UTF-8 but \d bytes"):
            await stage.call("read", path=name)


async def test_sizes_are_bounded(tmp_path: Path) -> None:
    """Of a file that is read or written, and of all together; what was there stays."""
    stage = Stage(tmp_path, {"max_bytes": 10})
    (stage.root / "long").write_bytes(b"x" * 11)
    with pytest.raises(ToolFailed, match="longer than the 10 bytes"):
        await stage.call("read", path="long")
    with pytest.raises(ToolFailed, match="more than the 10"):
        await stage.call("write", path="a", content="é" * 6)
    for name in ("write", "edit"):
        arguments = {"write": {"content": "new content"[:10]}, "edit": {"find": "a", "replace": "bb"}}[name]
        box = toolbox(rows_of(Tools.model_validate({name: {"max_workspace_bytes": 12}}), Place(tmp_path, tmp_path)))
        (stage.root / "a").write_text("a")
        with pytest.raises(ToolFailed, match="of 12 bytes"):
            await called(box, name, path="a", **arguments)
        assert (stage.root / "a").read_text() == "a"
    await called(box, "edit", path="a", find="a", replace="b")  # what grows nothing has room in a full workspace


async def test_an_edit_is_sure_of_its_place(stage: Stage) -> None:
    """Text that is there twice, or not at all, is not replaced."""
    await stage.call("write", path="a", content="x x")
    for find, count in (("x", 2), ("y", 0)):
        with pytest.raises(ToolFailed, match=f"{count} times, not once"):
            await stage.call("edit", path="a", find=find, replace="z")
    assert await stage.call("read", path="a") == "x x"


async def test_a_mode_stays_and_is_never_more_than_a_files(stage: Stage) -> None:
    """A script stays one that can be started; set-user-id is not kept."""
    file = stage.root / "run.sh"
    file.write_text("a")
    file.chmod(0o4755)
    await stage.call("write", path="run.sh", content="b")
    assert file.stat().st_mode & 0o7777 == 0o755
    assert [each.name for each in stage.root.iterdir()] == ["run.sh"]


async def test_the_policy_sees_the_path_that_is_used(tmp_path: Path) -> None:
    """There is one spelling of each path, so a pattern that denies it cannot be walked around."""
    stage = Stage(tmp_path, {"arguments": {"path": {"deny": ["private/**"], "allow": ["**"]}}})
    (stage.root / "private").mkdir()
    (stage.root / "private" / "a").write_text("hidden")
    (stage.root / "x").symlink_to("private")
    with pytest.raises(ToolRefused):
        await stage.call("read", path="private/a")
    for path in ("./private/a", "private//a", "x/../private/a", "x/a", "x"):
        with pytest.raises((ToolFailed, ToolRefused)):
            await stage.call("read", path=path)
