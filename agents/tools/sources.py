"""From the names in an agent's file to the rows of its toolbox."""

from __future__ import annotations

from collections.abc import Iterable

from agents.tools.catalogue import MAKERS, Place
from agents.tools.errors import ToolUnusable
from agents.tools.others import other_row
from agents.tools.policy import require_cacheable, require_known
from agents.tools.row import Row
from schemas.agent import Tools, ToolSettings


def rows_of(tools: Tools, place: Place, given: Iterable[Row] = ()) -> tuple[Row, ...]:
    """The rows that the file names, each as the file wants it.

    `given` are those that other parts of the agent can offer under names of the catalogue (`note`, `ask_agent`): of
    these too only what the file names is taken.

    Raises:
        ToolUnusable: one is not to be had, or cannot work here, or not as the file wants it; or two have one name.
    """
    others = {row.name: row for row in given}
    rows = tuple(_row(name, settings, place, others) for name, settings in tools.named.items())
    require_different(rows)
    return rows


def require_different(rows: Iterable[Row]) -> None:
    """Return unless two rows have one name.

    Raises:
        ToolUnusable: they do; a model could not tell them apart.
    """
    known: dict[str, str] = {}
    for row in rows:
        if row.name in known:
            raise ToolUnusable(f"two tools are called {row.name}: of {known[row.name]} and of {row.origin}")
        known[row.name] = row.origin


def _other(name: str, place: Place) -> Row:
    row = other_row(name, place.folder)
    if row is None:
        raise ToolUnusable(f"tools: {name} cannot be used by this agent")
    return row


def _row(name: str, settings: ToolSettings, place: Place, others: dict[str, Row]) -> Row:
    if name in MAKERS:
        row = MAKERS[name](settings, place)
    elif name in others:
        row = others[name]
    else:
        row = _other(name, place)
    row = row.under(settings)
    require_known(row)
    require_cacheable(row)
    return row
