"""Which archives of the trail there are, in a file of the home: rights to read them are given by name.

The list that counts is AUDIT's own metadata; provisioning writes the file from it each time it runs.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from bus.audit.archives import Archive
from bus.files import replace_durably
from bus.surroundings import Home
from schemas.errors import InvalidDocument


def read_archives(home: Home) -> tuple[str, ...]:
    """The archives' names; none where the trail was never rotated.

    Raises:
        InvalidDocument: the file holds something else.
    """
    try:
        found = msgspec.json.decode(home.archives.read_bytes(), type=list[str])
        return tuple(Archive.parse(name).name for name in found)
    except FileNotFoundError:
        return ()
    except (OSError, msgspec.DecodeError, InvalidDocument) as error:
        raise InvalidDocument(
            f"{home.archives} cannot be read: {error}; remove it, provisioning makes it anew"
        ) from None


def write_archives(home: Home, archives: Iterable[str]) -> None:
    """Replace the list, where it has changed."""
    wanted = tuple(archives)
    if wanted != read_archives(home):
        replace_durably(home.archives, msgspec.json.encode(wanted))
