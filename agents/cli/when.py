"""Times as a person types them: after a while, so long ago, or at a moment."""

from __future__ import annotations

import datetime
import re

from schemas.errors import InvalidDocument

_WHILE = re.compile(r"(?=.)(?:([0-9]{1,6})d)?(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,8})s)?")
_EPOCH = datetime.datetime.fromtimestamp(0, datetime.UTC)
_ADVICE = "write for example 2030-01-31T07:00:00Z or 2030-01-31T08:00:00+01:00"


def moment_of(after: str, at: str, now: datetime.datetime) -> datetime.datetime | None:
    """The moment that `after` (`90s`, `1h30m`) or `at` (RFC 3339) names; None without either.

    Raises:
        InvalidDocument: both are given, or the one that is cannot be read.
    """
    if after and at:
        raise InvalidDocument("give --in or --at, not both")
    if after:
        return now + _while("--in", after)
    return _at("--at", at, _ADVICE) if at else None


def seconds_of(option: str, text: str) -> float:
    """How long the option's `text` (`90s`, `1h30m`) is.

    Raises:
        InvalidDocument: it is no time, or none at all.
    """
    seconds = _while(option, text).total_seconds()
    if not seconds:
        raise InvalidDocument(f"{option} {text[:40]!r} is no time: write for example 10m or 2h")
    return seconds


def moment_before(option: str, text: str, now: datetime.datetime) -> datetime.datetime | None:
    """The moment so long ago (`10m`, `1h30m`) or at (RFC 3339) that the option's `text` names; None for an empty text.

    Raises:
        InvalidDocument: it is neither.
    """
    if not text:
        return None
    if not _WHILE.fullmatch(text):
        return _at(option, text, "write how long ago, as 10m, 2h or 7d, or a moment, as 2030-01-31T07:00:00Z")
    try:
        return now - _while(option, text)
    except OverflowError:
        return _EPOCH


def _while(option: str, text: str) -> datetime.timedelta:
    match = _WHILE.fullmatch(text)
    if match is None:
        raise InvalidDocument(f"{option} {text[:40]!r} is no time: write for example 90s, 10m, 1h30m or 2d")
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return datetime.timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def _at(option: str, text: str, advice: str) -> datetime.datetime:
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise InvalidDocument(f"{option} {text[:40]!r} is no time: {advice}") from None
    if moment.tzinfo is None:
        raise InvalidDocument(f"{option} {text[:40]!r} has no time zone: {advice}")
    return moment
