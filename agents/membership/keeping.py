"""What becomes of the files of somebody who left: keys that open a connection go, the rest stays until it is purged."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from bus.provision.contexts import context_of
from bus.surroundings import Home
from schemas import names

_REVOKED = (names.BUS_CREDENTIAL, names.OWN_CREDENTIAL, names.TRAIL_CREDENTIAL)
_STATE = ("{}", "{}.[0-9]", "agent-{}", "agent-{}.[0-9]")
"""What its folders of state are called: under systemd, and under `agentbus up`."""


def forget_keys(home: Home, name: str) -> None:
    """Remove the keys with which `name` connected, and its context.

    The key that signed its events stays, with which its trail goes on should it come back; it opens no connection.
    """
    folder = home.credentials(name)
    for credential in _REVOKED:
        (folder / credential).unlink(missing_ok=True)
    context_of(home, name).unlink(missing_ok=True)
    if folder.exists() and not any(folder.iterdir()):
        folder.rmdir()


def kept_of(home: Home, name: str) -> Sequence[Path]:
    """What there still is of somebody who left, or would be: folders that hold something."""
    streams = home.store / "jetstream" / names.own_account(name)
    parts = home.store / "jetstream" / names.ACCOUNT_PARTS / "streams" / names.parts_stream(name)
    releases = home.root / "releases" / name
    state = [folder for form in _STATE for folder in sorted(home.state("").glob(form.format(name)))]
    wanted = (*state, releases, streams, parts, home.credentials(name))
    return tuple(path for path in wanted if path.is_dir())


def purge(home: Home, name: str) -> Sequence[Path]:
    """Remove its state, releases and contexts; what is in the server's store is the server's.

    The key that signed its events stays too: without its public part the trail could not be believed.
    """
    stays = (home.store, home.credentials(""))
    gone = [path for path in kept_of(home, name) if not any(path.is_relative_to(folder) for folder in stays)]
    for path in gone:
        remove_folder(path)
    return gone


def remove_folder(path: Path) -> None:
    """Remove a folder with all that is in it, read-only folders too, as releases are."""
    for inner in (path, *path.rglob("*")):
        if inner.is_dir() and not inner.is_symlink():
            inner.chmod(0o700)
    shutil.rmtree(path)
