"""The folder of the keys that exist for a moment: removed at the end, and where the end did not come, by the next one."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_PREFIX: Final = "agentbus-admin-"
_UNNAMED: Final = "agentbus-made-"
"""Until it is locked, so that a folder with the other name is locked or left."""


@contextmanager
def momentary_folder() -> Iterator[Path]:
    """A folder that its owner alone can read. What a killed process of the same user left is removed first."""
    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        _remove_left(left)
    made = Path(tempfile.mkdtemp(prefix=_UNNAMED))
    held = os.open(made, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(held, fcntl.LOCK_EX)  # as long as this process lives, nobody takes it for left
    folder = made.rename(made.with_name(f"{_PREFIX}{made.name.removeprefix(_UNNAMED)}"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)


def _remove_left(folder: Path) -> None:
    with suppress(OSError):  # of another user, or no folder, or somebody works with it
        held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(held).st_uid == os.getuid():
                shutil.rmtree(folder)
        finally:
            os.close(held)
