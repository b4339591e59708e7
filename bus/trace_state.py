"""`tracestate`: what tracing systems give each other along a conversation, read strictly and carried on unchanged.

Source: W3C Trace Context level 1, §3.3 and §3.3.1.5.
"""

from __future__ import annotations

import re
from typing import Final

MOST_MEMBERS: Final = 32
MOST_CHARACTERS: Final = 512
_LARGE_MEMBER: Final = 128
_SIMPLE_KEY = r"[a-z][a-z0-9_\-*/]{0,255}"
_TENANT_KEY = r"[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13}"
_VALUE = r"[ -+\--<>-~]{0,255}[!-+\--<>-~]"
_MEMBER = re.compile(rf"({_SIMPLE_KEY}|{_TENANT_KEY})={_VALUE}")


def carried(header: str) -> str:
    """What of a received `tracestate` is sent on, in its order; empty where it is not one.

    One bad member makes the whole header nothing, as do more than 32 members and a key that is given twice. Of a
    header of more than 512 characters members are left out whole: those over 128 characters first, then the last.
    """
    members = [member for given in header.split(",") if (member := given.strip(" \t"))]
    matches = [_MEMBER.fullmatch(member) for member in members[: MOST_MEMBERS + 1]]
    keys = {match[1] for match in matches if match}
    if len(members) > MOST_MEMBERS or len(keys) < len(members):
        return ""
    while _length(members) > MOST_CHARACTERS:
        large = [number for number, member in enumerate(members) if len(member) > _LARGE_MEMBER]
        del members[large[-1] if large else -1]
    return ",".join(members)


def _length(members: list[str]) -> int:
    return sum(map(len, members)) + len(members) - 1
