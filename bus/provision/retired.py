"""Keys that once signed events of the trail: their public parts, a line each beside the key file, `audit.nk.retired`.

What they signed is believed for ever, so nothing is ever taken out of that file. Their seeds are gone.
"""

from __future__ import annotations

from pathlib import Path

from bus.credentials import Credential, create_credential, is_public_key
from bus.errors import NotProvisioned
from bus.files import replace_durably


def signers_of(path: Path) -> tuple[str, ...]:
    """The public key of a key file, then those that it had before, the latest first.

    Raises:
        NotProvisioned: the file of retired keys holds something else.
    """
    retired = _file(path)
    lines = retired.read_text().split() if retired.exists() else []
    if not all(map(is_public_key, lines)):
        raise NotProvisioned(f"{retired} holds something else than public keys; put it back from a copy")
    return tuple(dict.fromkeys((Credential(path).public_key(), *reversed(lines))))


def replace_signer(path: Path) -> None:
    """Put a new key in the file; the old one's public part is on the disk before the old one is gone."""
    lines = list(reversed(signers_of(path)))
    replace_durably(_file(path), "".join(f"{line}\n" for line in lines).encode())
    fresh = path.with_name(path.name + ".next")
    fresh.unlink(missing_ok=True)
    create_credential(fresh).path.replace(path)


def _file(path: Path) -> Path:
    return path.with_name(path.name + ".retired")
