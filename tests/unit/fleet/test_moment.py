"""Keys that exist for a moment are gone at the end, and where a process was killed before it, at the next beginning."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from bus.provision.moment import momentary_folder


def test_what_a_killed_process_left_is_removed_and_what_is_in_use_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that somebody holds stays, a link of that name is not followed, and at the end there is nothing."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    link = tmp_path / "agentbus-admin-link"
    link.symlink_to(elsewhere)
    left = tmp_path / "agentbus-admin-left"
    left.mkdir()
    (left / "BUS").write_text("seed")
    with momentary_folder() as first, momentary_folder() as second:
        assert not left.exists()
        assert first.stat().st_mode & 0o777 == 0o700
        assert first.is_dir()
        assert second != first
    assert sorted(tmp_path.iterdir()) == sorted([link, elsewhere])
