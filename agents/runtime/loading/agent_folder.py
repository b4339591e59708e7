"""An agent's folder on disk: which file is the agent's own, and what it says with its prompt and its variables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from schemas.agent import AgentFile
from schemas.agent.file_names import FILE_NAMES
from schemas.agent.reading import ReadFile, read_agent
from schemas.errors import InvalidDocument, Problem

_MAX_PROMPT_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class AgentFolder:
    """What the folder's file says. In `file` the prompt stands where it is taken from a file of its own."""

    path: Path
    """The agent's file, as it was named to us."""
    folder: Path
    file: AgentFile
    read: ReadFile


def read_folder(path: Path, environment: Mapping[str, str]) -> AgentFolder:
    """Read the agent in the folder `path`, or whose file `path` is; a live link is followed once.

    Raises:
        InvalidDocument: there is no such file, there are two, or something is wrong with it; all of it at once.
    """
    found = file_in(path)
    folder, text = text_of(found)
    read = read_agent(text, str(found), environment)
    return AgentFolder(found, folder, _with_prompt(read, folder), read)


def text_of(path: Path) -> tuple[Path, str]:
    """The folder of an agent's file, its links followed, and what the file says.

    Raises:
        InvalidDocument: it cannot be read.
    """
    try:
        folder = path.parent.resolve(strict=True)
        return folder, (folder / path.name).read_text()
    except UnicodeDecodeError:
        raise InvalidDocument.because([Problem(str(path), 0, "", "is not UTF-8 text")]) from None
    except OSError as error:
        raise InvalidDocument(f"cannot read {path}: {error.strerror}") from None


def file_in(path: Path) -> Path:
    """The agent's file: `path` itself or in it. Of agent.yaml and agent.toml a path may name either: there is one.

    Raises:
        InvalidDocument: there are both.
    """
    folder = path if path.is_dir() else path.parent
    if path.name not in FILE_NAMES and not path.is_dir():
        return path
    present = [folder / name for name in FILE_NAMES if (folder / name).is_file()]
    if len(present) > 1:
        raise InvalidDocument.because([Problem(str(folder), 0, "", f"holds both {' and '.join(FILE_NAMES)}; keep one")])
    return present[0] if present else folder / FILE_NAMES[0]


def own_files(folder: Path) -> Path:
    """Where the files of an agent's folder lie: of a volume of Kubernetes (a ConfigMap's), where its links lead to.

    For what an agent says of itself; whoever checks an agent looks at the folder itself.
    """
    mounted = folder / "..data"
    return mounted.resolve() if mounted.is_symlink() else folder


def _with_prompt(read: ReadFile, folder: Path) -> AgentFile:
    """The file, in which what a prompt's file says is the system prompt."""
    section = read.file.llm
    if section is None or not section.prompt_file:
        return read.file
    prompt, problem = prompt_of(folder, section.prompt_file)
    if problem:
        line = read.written.line_of(("llm", "prompt_file"))
        raise InvalidDocument.because([Problem(read.written.where, line, "llm.prompt_file", problem)])
    return read.file.model_copy(update={"llm": section.model_copy(update={"system_prompt": prompt})})


def prompt_of(folder: Path, name: str) -> tuple[str, str]:
    """What the file says, and what is wrong with it. A link may not lead out of the folder that is reviewed."""
    path = folder / name
    try:
        if not path.resolve(strict=True).is_relative_to(folder):
            return "", f"{name} lies outside of the agent's folder"
        content = path.read_bytes()
    except OSError as error:
        return "", f"cannot read {name}: {error.strerror}; it lies beside the agent's file"
    if len(content) > _MAX_PROMPT_BYTES:
        return "", f"{name} is over {_MAX_PROMPT_BYTES >> 10} KiB"
    try:
        prompt = content.decode()
    except UnicodeDecodeError:
        return "", f"{name} is not UTF-8 text"
    return prompt, "" if prompt.strip() else f"{name} is empty"
