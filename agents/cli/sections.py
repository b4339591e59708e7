"""`agentbus --help`: the commands by what somebody wants, not by when they were written."""

from __future__ import annotations

from typing import Any, Final

from typer.core import TyperGroup

SECTIONS: Final = {
    "Talk to agents": ("ask", "chat", "agents", "card", "tasks", "sessions", "pipeline"),
    "Write agents": ("agent", "eval", "replay"),
    "Decide about changes": ("propose", "proposals", "policy", "break-glass"),
    "Look at what happened": ("audit",),
    "Run a fleet": (
        "up", "down", "demo", "fleet", "provision", "status", "logs", "top", "doctor", "backup", "restore", "bugreport",
    ),
    "Bring it to a machine": ("install", "uninstall", "deploy"),
    "Processes, which the fleet starts by itself": ("approvals", "applier", "sealer", "witness"),
}  # fmt: skip
"""Title to commands, each in one section; a test holds it to that."""


class Sectioned(TyperGroup):
    """A group of commands that lists them by `SECTIONS`."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002  as typer calls it
        """Write a list for each section, all with the same column."""
        width = max(map(len, self.commands))
        room = formatter.width - 6 - width
        for title, names in SECTIONS.items():
            rows = [(name.ljust(width), self.commands[name].get_short_help_str(room)) for name in names]
            with formatter.section(title):
                formatter.write_dl(rows)
