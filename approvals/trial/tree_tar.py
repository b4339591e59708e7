"""A tree of an agent's folder as one tar archive: what is handed to a sandbox, and how it is unpacked there."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from approvals.git import Git
from schemas.errors import InvalidDocument
from schemas.text import harmless

MAX_FILES = 1000
MAX_BYTES = 16 << 20
"""Of all files together."""
_SKIPPED = "__pycache__"


def tar_of_tree(git: Git, tree: str) -> bytes:
    """The files of a git tree, exactly as git holds them.

    Raises:
        GitFailed: there is no such tree. InvalidDocument: it holds something else than files, or too much.
    """
    packed = _Packed()
    for line in git.run("ls-tree", "-r", "-z", "--full-tree", tree).split(b"\0")[:-1]:
        meta, _, path = line.decode("utf-8", "replace").partition("\t")
        mode, kind, blob = meta.split()
        if kind != "blob" or mode not in {"100644", "100755"}:
            raise InvalidDocument(f"{harmless(path)} is not a plain file")
        packed.add(path, git.blob(blob), is_executable=mode == "100755")
    return packed.close()


def tar_of_folder(folder: Path) -> bytes:
    """The files of a folder without those that begin with a dot or that Python made.

    Raises:
        InvalidDocument: it is no folder, or holds something else than files, or too much.
    """
    if not folder.is_dir():
        raise InvalidDocument(f"{harmless(str(folder))} is not a folder")
    packed = _Packed()
    for path in _files_below(folder):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not path.is_file():
            raise InvalidDocument(f"{harmless(name)} is not a plain file")
        try:
            packed.add(name, path.read_bytes(), is_executable=bool(path.stat().st_mode & 0o100))
        except OSError as error:
            raise InvalidDocument(f"cannot read {harmless(name)}: {error.strerror}") from None
    return packed.close()


def _files_below(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name == _SKIPPED:
            continue
        if path.is_dir() and not path.is_symlink():
            yield from _files_below(path)
        else:
            yield path


class _Packed:
    """An archive that is being written."""

    def __init__(self) -> None:
        self._content = io.BytesIO()
        self._tar = tarfile.open(fileobj=self._content, mode="w:")  # noqa: SIM115  closed by `close`
        self._size = _Size()

    def add(self, path: str, content: bytes, *, is_executable: bool) -> None:
        self._size.add(len(content))
        member = tarfile.TarInfo(path)
        member.size, member.mode = len(content), 0o755 if is_executable else 0o644
        self._tar.addfile(member, io.BytesIO(content))

    def close(self) -> bytes:
        self._tar.close()
        return self._content.getvalue()


class _Size:
    """Counts what an archive holds.

    Raises:
        InvalidDocument: by `add`, when it is too much.
    """

    def __init__(self) -> None:
        self._files = self._bytes = 0

    def add(self, size: int) -> None:
        self._files, self._bytes = self._files + 1, self._bytes + size
        if self._files > MAX_FILES or self._bytes > MAX_BYTES:
            raise InvalidDocument(f"too much to check: at most {MAX_FILES} files of {MAX_BYTES >> 20} MiB together")


def unpack(archive: bytes, folder: Path) -> None:
    """Write the files of an uncompressed archive below `folder`, which is empty.

    Raises:
        InvalidDocument: it is no archive, or one of its entries is not a plain file below the folder, comes twice
            or is too much; what came before it is written.
    """
    size = _Size()
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as tar:
            for member in tar:
                if not member.isdir():
                    size.add(member.size)
                    _write(tar, member, folder)
    except (tarfile.TarError, UnicodeError, EOFError) as error:
        raise InvalidDocument(f"this is not a tar archive: {harmless(str(error))}") from None
    except OSError as error:
        raise InvalidDocument(f"an entry cannot be written: {error.strerror}") from None


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    path = PurePosixPath(member.name)
    content = tar.extractfile(member) if member.isreg() else None
    if content is None or path.is_absolute() or ".." in path.parts or not path.parts or "\0" in member.name:
        raise InvalidDocument(f"{harmless(member.name)} is not a plain file below the folder")
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("xb") as file:
        file.write(content.read())
    target.chmod(0o755 if member.mode & 0o100 else 0o644)
