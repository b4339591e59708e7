"""Names of a package that are imported when somebody asks for them: a process that does not pays nothing.

    __getattr__ = from_modules(__name__, {"AgentFile": "file", "Llm": "models"})

Source: PEP 562.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def from_modules(package: str, where: Mapping[str, str]) -> Callable[[str], Any]:
    """The `__getattr__` of `package`, which knows for each name the module below it. A name that was found stays found."""

    def found(name: str) -> Any:
        if name not in where:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(f".{where[name]}", package), name)
        setattr(sys.modules[package], name, value)
        return value

    return found
