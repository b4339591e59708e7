"""One change of a fleet at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.membership.hosts import alone
from bus.credentials import create_credential
from bus.errors import NotProvisioned
from bus.provision.retired import replace_signer, signers_of
from bus.surroundings import Home


def test_a_second_change_at_the_same_time_is_refused(tmp_path: Path) -> None:
    """It says to try again; afterwards it is let in."""
    home = Home(tmp_path)
    home.credentials("").mkdir()
    with alone(home), pytest.raises(NotProvisioned, match="try again"), alone(home):
        raise AssertionError("two at once")
    with alone(home):
        pass


def test_what_signed_is_known_for_ever(tmp_path: Path) -> None:
    """Each replaced key stays known, the latest first, and its seed is nowhere."""
    path = tmp_path / "audit.nk"
    known = [create_credential(path).public_key()]
    seeds = [path.read_bytes()]
    for _ in range(2):
        replace_signer(path)
        known.insert(0, create_credential(path).public_key())
        seeds.append(path.read_bytes())
    assert signers_of(path) == tuple(known)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["audit.nk", "audit.nk.retired"]
    assert len(set(seeds)) == 3
    (tmp_path / "audit.nk.retired").write_text("something\n")
    with pytest.raises(NotProvisioned, match="put it back from a copy"):
        signers_of(path)
