"""A row of the table, however it was come by."""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """`said` is what is printed of it; `wrong` why it is not as it must be."""

    name: str
    is_caught: bool
    is_located: bool
    said: str
    wrong: str = ""

    def show(self) -> None:
        """Print it."""
        print(f"{self.name:<55} {self.said}", flush=True)
        if not (self.is_caught and self.is_located):
            print(f"    {self.wrong}", flush=True)
