"""The switch from one store to another, killed between any two of its steps: it is undone, or it goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from bus.provision.store_switch import commit, end, go_on, is_told, key_before, next_key, next_store, undo
from bus.surroundings import Home


def _made(root: Path) -> Home:
    """Both stores with their keys, the new one complete."""
    home = Home(root)
    for folder, key, text in ((home.store, home.store_key, "old"), (next_store(home), next_key(home), "new")):
        (folder / "jetstream").mkdir(parents=True)
        (folder / "jetstream" / "which").write_text(text)
        key.parent.mkdir(parents=True, exist_ok=True)
        key.write_text(text)
    return home


def _which(home: Home) -> tuple[str, str]:
    return (home.store / "jetstream" / "which").read_text(), home.store_key.read_text()


class Killed(Exception):
    """What a kill is here."""


@pytest.mark.parametrize("survives", range(6))
def test_it_is_killed_between_any_two_renames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, survives: int) -> None:
    """Key and store are always of one kind where there is a key: without one no server starts."""
    home, renames = _made(tmp_path), 0
    genuine = Path.rename

    def rename(path: Path, target: Path) -> Path:
        nonlocal renames
        if renames == survives:
            raise Killed
        renames += 1
        return genuine(path, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", rename)
        try:
            commit(home)
        except Killed:
            assert survives < 4
    if home.store_key.exists():
        assert _which(home) in {("old", "old"), ("new", "new")}
    go_on(home)
    assert _which(home) == (("old", "old") if survives == 0 else ("new", "new"))
    if is_told(home):
        undo(home)
    else:
        assert key_before(home).read_text() == "old"
        end(home)
    assert sorted(path.name for path in home.store.iterdir()) == ["jetstream"]
    assert sorted(path.name for path in home.store_key.parent.iterdir()) == ["store.env"]
