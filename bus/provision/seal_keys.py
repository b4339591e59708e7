"""The keys that seal the trail, and those that did: hand-overs, a line of base64 each, beside the key in `seal.nk.retired`.

    made       the new key lies beside the old one, as `seal.nk.next`
    signed     both have signed the hand-over, and it is on the disk
    in place   the key file holds the new key, and the seed of the old one is gone

Up to `in place` the old key is the one that counts, and a hand-over that lies there already is of no use to anybody:
it is left out, and the next rotation replaces it. From there on the new one counts. The sealer publishes the hand-over
before it signs anything with it; until then an auditor is told that it is not on the trail yet.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from pathlib import Path

from bus.audit.tlog.checkpoint import Checkpoint
from bus.audit.tlog.errors import NotVerified
from bus.audit.tlog.handover import Handover, hand_over
from bus.audit.tlog.note import Key, decoded
from bus.credentials import Credential, create_credential, verifying_key
from bus.errors import NotProvisioned
from bus.files import replace_durably, sync_folder
from bus.surroundings import Home
from schemas import names


def handovers_of(path: Path) -> tuple[Handover, ...]:
    """How a key file's key came to be the one of now, in order; none where it is the first.

    Raises:
        NotProvisioned: the file of retired keys holds something else.
    """
    retired = _file(path)
    try:
        found = tuple(Handover.parse(decoded(line)) for line in retired.read_text().split()) if retired.exists() else ()
    except NotVerified as error:
        raise NotProvisioned(
            f"{retired} holds something else than hand-overs ({error}); put it back from a copy"
        ) from None
    public = public_of(path)
    if found and found[-1].old.public == public:
        return found[:-1]
    if found and found[-1].new.public != public:
        raise NotProvisioned(f"{retired} does not lead to the key in {path}; put both back from one copy")
    return found


def all_handovers(home: Home) -> Iterator[Handover]:
    """Of every key that seals or sealed, those of witnesses that are not in the fleet any more too."""
    for path in sorted(home.credentials("").glob(f"*/{names.SEAL_CREDENTIAL}")):
        yield from handovers_of(path)


def replace_seal_key(path: Path, key: Key, at: Checkpoint, now_s: int) -> Handover:
    """Put a new key in the file; `key` is the old one, by the name that its signatures go by, `at` what it signed last.

    Nobody may sign with the old key meanwhile.

    Raises:
        NotProvisioned: the file of retired keys holds something else.
    """
    before = handovers_of(path)
    fresh = path.with_name(path.name + ".next")
    fresh.unlink(missing_ok=True)
    private = create_credential(fresh).signing_key()
    _sync(fresh)
    made = hand_over(at, key.name, key.kind, Credential(path).signing_key(), private, now_s)
    lines = [base64.b64encode(one.note) for one in (*before, made)]
    replace_durably(_file(path), b"".join(line + b"\n" for line in lines))
    fresh.replace(path)
    sync_folder(path.parent)
    return made


def public_of(path: Path) -> bytes:
    """The public part of a key file's key."""
    return verifying_key(Credential(path).public_key()).public_bytes_raw()


def _file(path: Path) -> Path:
    return path.with_name(path.name + ".retired")


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
