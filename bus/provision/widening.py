"""What provisioning may change of a stream that exists: only what cannot lose, or let go earlier, anything that is stored. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

_WIDER: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "allow_msg_ttl": lambda wanted, found: bool(wanted and not found),
    "subjects": lambda wanted, found: set(wanted) > set(found or ()),
    "max_bytes": lambda wanted, found: found is not None and 0 < found < wanted,
    "max_msgs_per_subject": lambda wanted, found: found is not None and 0 < found < wanted,
}
"""By field: whether the wanted value only adds to the one that was found."""


_BOUND: Final = frozenset({"max_msgs_per_subject", "discard_new_per_subject"})


def widened(
    wanted: Mapping[str, Any], found: Mapping[str, Any], most_of_a_subject: int | None = None
) -> dict[str, Any]:
    """The fields to change, each of which only adds; none when any other field differs too: then a person has to look.

    A bound of messages per subject that refuses what is new may come to a stream that has none, when its fullest
    subject holds `most_of_a_subject`, no more than half of it: the server drops what is over a bound that it is
    given, and more may be stored meanwhile. None: that is not known.
    """
    different = {key: value for key, value in wanted.items() if found.get(key, type(value)()) != value}
    rest = different if not _is_harmless_bound(wanted, found, most_of_a_subject) else different.keys() - _BOUND
    is_wider = all(key in _WIDER and _WIDER[key](different[key], found.get(key)) for key in rest)
    return different if is_wider else {}


def lacks_bound(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
    """Whether a bound per subject that refuses what is new is to come to a stream without any."""
    return bool(wanted.get("discard_new_per_subject")) and found.get("max_msgs_per_subject", -1) <= 0


def _is_harmless_bound(wanted: Mapping[str, Any], found: Mapping[str, Any], most: int | None) -> bool:
    return lacks_bound(wanted, found) and most is not None and 2 * most <= wanted["max_msgs_per_subject"]
