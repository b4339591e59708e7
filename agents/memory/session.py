"""A conversation as it is stored between two requests: what is still told to the model, and the archive. No I/O.

One JSON object a conversation, with the version of its format. Of a version that is not known nothing is guessed:
an instance that is older than the one that wrote it refuses, and another may answer.
"""

from __future__ import annotations

from typing import Final

import msgspec

from agents.llm import Turn
from schemas.errors import Internal, Unavailable

VERSION: Final = 1


class Kept(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One turn, with the task or message in which it was said and when (RFC 3339)."""

    turn: Turn
    exchange: str = ""
    at: str = ""


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """All of one conversation of one caller: the turns that a model is still told, and those that were put away.

    `forgotten` turns were let go to make room, the archive's oldest first. `summary` is a model's, of what was put
    away, by the prompt of that name. `used_tokens` is what prompt and turns took of the window at the last answer; 0
    where that is not known.
    """

    caller: str
    context_id: str
    began_at: str
    written_at: str
    version: int = VERSION
    turns: tuple[Kept, ...] = ()
    archived: tuple[Kept, ...] = ()
    forgotten: int = 0
    summary: str = ""
    summary_prompt: str = ""
    used_tokens: int = 0

    @property
    def put_away(self) -> int:
        """How many turns a model is not told any more."""
        return len(self.archived) + self.forgotten


class _Head(msgspec.Struct):
    version: int = 0


_SESSION = msgspec.json.Decoder(Session)
_HEAD = msgspec.json.Decoder(_Head)


def encode(session: Session) -> bytes:
    """The bytes that are stored."""
    return msgspec.json.encode(session)


def decode(value: bytes) -> Session:
    """The stored session.

    Raises:
        Unavailable: a newer version of agentbus wrote it; an instance of that version can go on with it.
        Internal: it is no session.
    """
    try:
        version = _HEAD.decode(value).version
        if version <= VERSION:
            return _SESSION.decode(value)
    except msgspec.DecodeError as error:
        raise Internal(
            f"the stored conversation cannot be read: {error}; delete it with agentbus sessions delete"
        ) from None
    raise Unavailable(
        f"the conversation was stored in format {version} by a newer agentbus, this one knows {VERSION}: upgrade this "
        "instance, or begin another conversation",
        retry_after_s="5",
    )
