"""A store under a new key takes the place of the old one: in one step, whatever interrupts it.

    copying    rotation/jetstream, beside jetstream, is a store under the key in store.env.next; the old one counts
    committed  store.env is gone, as store.env.before: no server starts without it
    switched   jetstream is before/jetstream, rotation/jetstream is jetstream, store.env.next is store.env
    ended      before and store.env.before are gone, when the trail has been told

Up to `committed` whatever was made is of no use and is removed; from there on `go_on` leads to `switched`, and is called
by all of ours that starts a server. systemd starts none meanwhile: the configuration names a variable that is nowhere.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

from bus.files import sync_folder
from bus.surroundings import Home

NEXT: Final = ".next"
BEFORE: Final = ".before"
_FILES: Final = "jetstream"


def next_store(home: Home) -> Path:
    """The folder of the server whose store is being made."""
    return home.store / "rotation"


def next_key(home: Home) -> Path:
    """The environment file of that server."""
    return _beside(home, NEXT)


def is_told(home: Home) -> bool:
    """Whether no rotation waits for its end."""
    return not _beside(home, BEFORE).exists()


def key_before(home: Home) -> Path:
    """The environment file of the old store, until the rotation has ended."""
    return _beside(home, BEFORE)


def undo(home: Home) -> None:
    """Remove what an interrupted run made, if it did not commit; `go_on` first."""
    next_key(home).unlink(missing_ok=True)
    shutil.rmtree(next_store(home), ignore_errors=True)


def commit(home: Home) -> None:
    """Have the new store count; both servers have ended, and all that they wrote is synced here before."""
    os.sync()
    home.store_key.rename(key_before(home))
    sync_folder(home.store_key.parent)
    go_on(home)


def go_on(home: Home) -> None:
    """Finish the switch where it was committed and interrupted; else nothing happens."""
    if home.store_key.exists() or not (key_before(home).exists() and next_key(home).exists()):
        return
    old, new, here = home.store / "before", next_store(home) / _FILES, home.store / _FILES
    if new.exists():
        if here.exists():
            old.mkdir(mode=0o700, exist_ok=True)
            here.rename(old / _FILES)
        sync_folder(home.store)
        new.rename(here)
    sync_folder(home.store)
    next_key(home).rename(home.store_key)
    sync_folder(home.store_key.parent)


def end(home: Home) -> None:
    """Remove the old store and its key."""
    for folder in (home.store / "before", next_store(home)):
        shutil.rmtree(folder, ignore_errors=True)
    key_before(home).unlink(missing_ok=True)


def _beside(home: Home, ending: str) -> Path:
    return home.store_key.with_name(home.store_key.name + ending)
