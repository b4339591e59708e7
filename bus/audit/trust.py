"""The trust file: whose signature an auditor accepts on which subjects.

    {"producers": {"audit.agent.greeter.": ["UABC…"], "audit.sys.applier.": ["UDEF…"]}}

The keys of the object are what a producer's subjects start with; the values its public nkeys, old ones
included for as long as events signed with them are verified. Keep a copy where the operators of the
server cannot write: who can change this file decides what "sound" means.
"""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from bus.credentials import is_public_key
from schemas.errors import InvalidDocument
from schemas.subjects import AGENT_ID, TOKEN

Trust = dict[str, tuple[str, ...]]
_PREFIX = re.compile(rf"audit\.(agent\.{AGENT_ID}|sys\.{TOKEN})\.")


class TrustFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file's shape."""

    producers: Trust


def load_trust(path: Path) -> Trust:
    """Read the trust file.

    Raises:
        InvalidDocument: it is missing, or says something else than keys by subject start.
    """
    try:
        producers = msgspec.json.decode(path.read_bytes(), type=TrustFile).producers
    except FileNotFoundError:
        raise InvalidDocument(f"no trust file {path}; run `agentbus provision`, or name one you were given") from None
    except (OSError, msgspec.DecodeError) as error:
        raise InvalidDocument(f"{path}: not a trust file: {error}") from None
    for prefix, keys in producers.items():
        if not _PREFIX.fullmatch(prefix):
            raise InvalidDocument(f"{path}: {prefix!r} is not what a producer's subjects start with")
        for key in keys:
            if not is_public_key(key):
                raise InvalidDocument(f"{path}: {prefix}: {key!r} is not a public user nkey")
    return producers


def dump_trust(producers: Trust) -> bytes:
    """The bytes of a trust file."""
    return msgspec.json.format(msgspec.json.encode(TrustFile(producers), order="sorted"), indent=2) + b"\n"
