"""Modules that lie beside an agent's file: what its handler and its tools may import by their plain names."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Final

_OURS: Final = "agentbus_"
"""Modules that are found by their file and not by their name begin so."""


class _Folder(str):
    """A folder of an agent on `sys.path`, told from all others by its type."""

    __slots__ = ()


def find_siblings(folder: Path) -> None:
    """Have imports find the modules of `folder`, behind all others: no file there takes the place of a library's.

    Those of the agent that was loaded before are forgotten: a process that looks at several never mixes them up.
    """
    wanted = _Folder(folder)
    known = [each for each in sys.path if isinstance(each, _Folder)]
    if known == [wanted]:
        return
    sys.path[:] = [each for each in sys.path if not isinstance(each, _Folder)]
    sys.path.append(wanted)
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None) or ""
        if not name.startswith(_OURS) and any(Path(each) in Path(file).parents for each in known):
            del sys.modules[name]
    importlib.invalidate_caches()
