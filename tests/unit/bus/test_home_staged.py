"""A home that is written to while it is copied: the copy is as it was when the server was held."""

from __future__ import annotations

import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from bus.provision import home_staged
from bus.provision.home_copy import Contents, digest_of, still, unpack, write_copy
from schemas.errors import InvalidDocument


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A small one, with a file of each kind."""
    root = tmp_path / "home"
    for folder in ("live", "releases/a", "state/x", "run"):
        (root / folder).mkdir(parents=True)
    (root / "releases" / "a" / "agent.yaml").write_text("agent")
    (root / "live" / "a").symlink_to("../releases/a")
    (root / "state" / "x" / "spool").write_bytes(b"1")
    (root / "state" / "x" / "gone").write_bytes(b"1")
    (root / "run" / "left-out").write_bytes(b"1")
    (root / "releases" / "a").chmod(0o555)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(root / "state" / "x.sock"))
    return root


def while_held(change: Callable[[], object]) -> Callable[[], AbstractContextManager[None]]:
    """What was done until the server stood still."""

    @contextmanager
    def hold() -> Iterator[None]:
        change()
        yield

    return hold


def test_it_is_as_it_was_when_the_server_stood_still(home: Path) -> None:
    """What was changed, made and removed until then is so in the copy; nothing is left of it afterwards."""

    def change() -> None:
        (home / "state" / "x" / "spool").write_bytes(b"22")
        (home / "state" / "x" / "gone").unlink()
        (home / "state" / "y").mkdir(mode=0o700)
        (home / "state" / "y" / "head").write_bytes(b"3")
        (home / "live" / "a").unlink()
        (home / "live" / "a").symlink_to("../releases")

    with still(home, while_held(change)) as (copy, held_s):
        found = {path.relative_to(copy).as_posix() for path in copy.rglob("*")}
        assert found == {
            "live", "live/a", "releases", "releases/a", "releases/a/agent.yaml", "state", "state/x", "state/x/spool",
            "state/y", "state/y/head",
        }  # fmt: skip
        assert (copy / "state" / "x" / "spool").read_bytes() == b"22"
        assert (copy / "live" / "a").readlink() == Path("../releases")
        assert stat.S_IMODE((copy / "releases" / "a").stat().st_mode) == 0o555
        assert held_s >= 0
    assert sorted(path.name for path in home.parent.iterdir()) == ["home"]


def test_the_server_is_not_held_for_long(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where more changes than can be copied in that time, there is no backup, and nothing of one."""
    monkeypatch.setattr(home_staged, "MOST_HELD_S", -1)
    with pytest.raises(InvalidDocument, match="more than can be copied"), still(home, while_held(lambda: None)):
        pass
    assert sorted(path.name for path in home.parent.iterdir()) == ["home"]


def test_nobody_gets_the_keys_by_being_there_first(home: Path, tmp_path: Path) -> None:
    """A file or a link in the place of an unfinished one, or of the copy, is not written to."""
    theirs = tmp_path / "theirs"
    theirs.mkdir(mode=0o755)
    (tmp_path / ".file.unfinished").symlink_to(theirs / "keys")
    (tmp_path / ".home.backup").symlink_to(theirs)
    about = Contents(fleet="example", made_at="now", program="1", files={}, bytes=0)
    with still(home, while_held(lambda: None)) as (copy, _):
        write_copy(copy, tmp_path / "file", about, lambda _: None)
    assert list(theirs.iterdir()) == []
    assert stat.S_IMODE(theirs.stat().st_mode) == 0o755
    unpack(tmp_path / "file", tmp_path / "again", digest_of(tmp_path / "file"))
    assert (tmp_path / "again" / "live" / "a" / "agent.yaml").read_text() == "agent"


def test_a_home_that_leads_elsewhere_is_not_copied(home: Path, tmp_path: Path) -> None:
    """A store on another disk, by a link, would be missing from the copy."""
    (home / "nats").symlink_to(tmp_path / "disk")
    about = Contents(fleet="example", made_at="now", program="1", files={}, bytes=0)
    with (
        still(home, while_held(lambda: None)) as (copy, _),
        pytest.raises(InvalidDocument, match="nats is a link that leads out of the home"),
    ):
        write_copy(copy, tmp_path / "file", about, lambda _: None)
    assert not (tmp_path / "file").exists()
