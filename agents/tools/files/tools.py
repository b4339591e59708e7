"""`read`, `write` and `edit`: files of text in the agent's workspace."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from pydantic import Field

from agents import llm
from agents.context import Context
from agents.tools.errors import ToolFailed
from agents.tools.files.workspace import Workspace
from agents.tools.row import Row, Run
from schemas.agent import FileSettings, WriteSettings
from schemas.documents import Document

_PATH: Final = "path in your workspace, such as notes/today.md"


class Read(Document):
    """What to read."""

    path: str = Field(".", max_length=1000, description=f"{_PATH}; a folder's names are listed")
    first_line: int = Field(1, ge=1, description="line to begin at")
    lines: int = Field(2000, ge=1, le=100_000, description="how many lines at most")


class Write(Document):
    """What to write."""

    path: str = Field(min_length=1, max_length=1000, description=_PATH)
    content: str = Field(description="the whole new content")


class Edit(Document):
    """What to replace."""

    path: str = Field(min_length=1, max_length=1000, description=_PATH)
    find: str = Field(min_length=1, description="text that occurs exactly once in the file")
    replace: str = Field(description="the text in its place")


def read_row(settings: FileSettings, workspace: Workspace) -> Row:
    """The tool `read`."""

    def work(wanted: Read) -> str:
        if workspace.is_folder(wanted.path):
            return "\n".join(workspace.listed(wanted.path)) or "(empty)"
        return _lines_of(_text(wanted.path, workspace.read(wanted.path, settings.max_bytes)), wanted)

    words = "Read a text file of your workspace, or list a folder of it."
    return Row(llm.Tool(name="read", description=words, input=Read), _in_thread(work), has_effects=False)


def write_row(settings: WriteSettings, workspace: Workspace) -> Row:
    """The tool `write`."""

    def work(wanted: Write) -> str:
        content = wanted.content.encode(errors="replace")
        _put(workspace, settings, wanted.path, content)
        return f"wrote {len(content)} bytes to {wanted.path}"

    words = "Write a text file in your workspace; what it held before is gone."
    return Row(llm.Tool(name="write", description=words, input=Write), _in_thread(work), has_effects=True)


def edit_row(settings: WriteSettings, workspace: Workspace) -> Row:
    """The tool `edit`."""

    def work(wanted: Edit) -> str:
        text = _text(wanted.path, workspace.read(wanted.path, settings.max_bytes))
        count = text.count(wanted.find)
        if count != 1:
            raise ToolFailed(f"{wanted.path} contains the text to find {count} times, not once; give more of it")
        _put(workspace, settings, wanted.path, text.replace(wanted.find, wanted.replace).encode(errors="replace"))
        return f"changed {wanted.path}"

    words = "Replace one piece of text in a file of your workspace."
    return Row(llm.Tool(name="edit", description=words, input=Edit), _in_thread(work), has_effects=True)


def _in_thread(work: Any) -> Run:
    """Disks can be slow; the agent answers others meanwhile."""

    async def run(arguments: Any, _: Context) -> str:
        return str(await asyncio.to_thread(work, arguments))

    return run


def _put(workspace: Workspace, settings: WriteSettings, path: str, content: bytes) -> None:
    if len(content) > settings.max_bytes:
        raise ToolFailed(f"{len(content)} bytes are more than the {settings.max_bytes} that a file may have")
    workspace.require_room(path, len(content), settings.max_workspace_bytes)
    workspace.write(path, content)


def _text(path: str, content: bytes) -> str:
    if b"\0" not in content:
        try:
            return content.decode()
        except UnicodeDecodeError:
            pass
    raise ToolFailed(f"{path} is no text in UTF-8 but {len(content)} bytes of something else")


def _lines_of(text: str, wanted: Read) -> str:
    lines = text.splitlines(keepends=True)
    first = wanted.first_line - 1
    if first == 0 and len(lines) <= wanted.lines:
        return text or "(empty)"
    if first >= len(lines):
        raise ToolFailed(f"{wanted.path} has {len(lines)} lines")
    chosen = lines[first : first + wanted.lines]
    return f"[lines {first + 1} to {first + len(chosen)} of {len(lines)}]\n{''.join(chosen)}"
