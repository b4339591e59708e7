"""How a figure is printed."""

from __future__ import annotations


def line(title: str, figure: str) -> None:
    """One line of the report, at once."""
    print(f"{title:<62} {figure}", flush=True)
