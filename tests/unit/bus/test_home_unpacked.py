"""A file that somebody else wrote: it makes a home, or it is refused and leaves nothing."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import pytest

from bus.provision.home_copy import Contents, digest_of, unpack
from bus.provision.home_unpacked import CONTENTS, is_within, members_of
from schemas.errors import InvalidDocument

Member = tuple[tarfile.TarInfo, bytes]


def member(name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = "", **more: object) -> Member:
    """A member of a copy; `more` are other fields of its header."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, len(content)
    for field, value in more.items():
        setattr(info, field, value)
    return info, content


def folder(name: str) -> Member:
    """A folder."""
    return member(name, kind=tarfile.DIRTYPE, mode=0o2775)


def link(name: str, to: str) -> Member:
    """A link."""
    return member(name, kind=tarfile.SYMTYPE, link=to)


def contents(members: Sequence[Member]) -> Member:
    """The list of the files among them, as a copy has it."""
    files = {
        info.name.removeprefix("home/"): hashlib.sha256(content).hexdigest()
        for info, content in members
        if info.type == tarfile.REGTYPE
    }
    about = Contents(fleet="example", made_at="now", program="1", files=files, bytes=0)
    return member(CONTENTS, msgspec.json.encode(about))


def written(path: Path, members: Sequence[Member], *, has_end: bool = True) -> Path:
    """A file with these members."""
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT) as tar:
        for info, content in [*members, *([contents(members)] if has_end else [])]:
            tar.addfile(info, io.BytesIO(content))
    return path


def refusal(file: Path, root: Path) -> str:
    """Why it is refused; nothing is left of it."""
    before = sorted(root.parent.iterdir()) if root.parent.exists() else []
    with pytest.raises(InvalidDocument) as refused:
        unpack(file, root)
    assert not root.exists()
    assert (sorted(root.parent.iterdir()) if root.parent.exists() else []) in (before, [])
    return str(refused.value)


SOUND = (
    folder("home/live"),
    folder("home/releases"),
    folder("home/releases/a"),
    member("home/releases/a/agent.yaml", b"agent", mode=0o4666),
    link("home/live/a", "../releases/a"),
)


def test_what_a_home_has_is_made(tmp_path: Path) -> None:
    """Its files, folders and links; nobody else may write to them, and no special bit is taken over."""
    root = tmp_path / "home"
    unpack(written(tmp_path / "file", SOUND), root)
    assert (root / "live" / "a" / "agent.yaml").read_bytes() == b"agent"
    modes = {name: (root / name).stat().st_mode & 0o7777 for name in ("releases", "releases/a/agent.yaml")}
    assert modes == {"releases": 0o755, "releases/a/agent.yaml": 0o644}
    assert not list(tmp_path.glob(".*"))


EVIL: dict[str, tuple[Sequence[Member], str]] = {
    "a step up": ([member("home/../../evil", b"evil")], "outside of the home"),
    "a step up in a folder": ([folder("home/a"), member("home/a/../../evil", b"evil")], "outside of the home"),
    "an absolute name": ([member("/tmp/evil", b"evil")], "outside of the home"),
    "an absolute name below": ([member("home//etc/evil", b"evil")], "outside of the home"),
    "the home itself": ([link("home", "/etc")], "outside of the home"),
    "a link to the root": ([link("home/a", "/")], "leads out of the home"),
    "a link up": ([link("home/a", "../evil")], "leads out of the home"),
    "a link up behind a name": ([folder("home/a"), link("home/a/b", "../c/../../evil")], "leads out of the home"),
    "a link to the home": ([folder("home/a"), link("home/a/b", "..")], "leads out of the home"),
    "a file through a link": (
        [folder("home/b"), link("home/a", "b"), member("home/a/c", b"evil")],
        "without the folder",
    ),
    "a file in no folder": ([member("home/a/b", b"evil")], "without the folder"),
    "a link, then a file": ([folder("home/b"), link("home/a", "b"), member("home/a", b"evil")], "twice"),
    "a file twice": ([member("home/a", b"1"), member("home/a", b"2")], "twice"),
    "a hard link": ([member("home/a", kind=tarfile.LNKTYPE, link="/etc/passwd")], "neither a file"),
    "a device": ([member("home/a", kind=tarfile.CHRTYPE, devmajor=1, devminor=3)], "neither a file"),
    "a pipe": ([member("home/a", kind=tarfile.FIFOTYPE)], "neither a file"),
    "a sparse file": (
        [member("home/a", b"", pax_headers={"GNU.sparse.size": str(2**50), "GNU.sparse.map": "0,0"})],
        "neither a file",
    ),
    "a file that is larger than any disk": ([member("home/a", b"", pax_headers={"size": str(2**60)})], "no room"),
    "a folder with a content": ([member("home/a", b"x" * 600, kind=tarfile.DIRTYPE)], "content that it cannot have"),
    "a name without an end": ([member("home/" + "a" * 100_000, b"evil")], "larger than any of ours"),
    "words without an end": (
        [member("home/a", b"1", pax_headers={"comment": "a" * 100_000})],
        "larger than any of ours",
    ),
    "files that are not listed": ([*SOUND, contents([]), member("home/b", b"1")], "something follows"),
}


@pytest.mark.parametrize("case", EVIL)
def test_what_no_home_has_is_refused(case: str, tmp_path: Path) -> None:
    """Before it is written, and with the reason."""
    members, reason = EVIL[case]
    assert reason in refusal(written(tmp_path / "file", members), tmp_path / "deep" / "home")
    assert not (tmp_path / "evil").exists()


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "cut in the middle": lambda data: data[: len(data) // 2],
    "without its sum": lambda data: data[:-8],
    "with something behind it": lambda data: data + gzip.compress(b"more"),
    "with zeros without an end behind it": lambda data: data + gzip.compress(bytes(1 << 20)),
    "nothing": lambda _: b"",
    "not compressed": gzip.decompress,
    "something else": lambda _: gzip.compress(b"something else" * 100),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_a_damaged_file_is_refused(case: str, tmp_path: Path) -> None:
    """However it was damaged."""
    file = written(tmp_path / "file", SOUND)
    file.write_bytes(DAMAGE[case](file.read_bytes()))
    assert "is no backup" in refusal(file, tmp_path / "deep" / "home")


def test_a_file_without_its_list_is_refused(tmp_path: Path) -> None:
    """And one whose list says something else."""
    assert "end is missing" in refusal(written(tmp_path / "a", SOUND, has_end=False), tmp_path / "deep" / "home")
    other = [*SOUND, contents([*SOUND, member("home/b", b"1")])]
    assert "damaged: b" in refusal(written(tmp_path / "b", other, has_end=False), tmp_path / "deep" / "home")


def test_another_file_is_refused(tmp_path: Path) -> None:
    """Where its digest was kept, a file that is a sound home of somebody else is none."""
    file = written(tmp_path / "file", SOUND)
    with pytest.raises(InvalidDocument, match="another file than was made"):
        unpack(file, tmp_path / "home", "0" * 64)
    unpack(file, tmp_path / "home", digest_of(file))


def test_a_home_is_not_made_through_a_link(tmp_path: Path) -> None:
    """Nor over anything that is there."""
    (tmp_path / "other").mkdir()
    (tmp_path / "home").symlink_to("other")
    with pytest.raises(InvalidDocument, match="replaces nothing"):
        unpack(written(tmp_path / "file", SOUND), tmp_path / "home")


def test_nothing_of_it_stays_in_memory(tmp_path: Path) -> None:
    """A header that says that it goes on and on is read no further than ours go."""

    class Endless:
        def __init__(self) -> None:
            info = tarfile.TarInfo("x")
            info.type, info.size = tarfile.XHDTYPE, 8 << 30
            self.head, self.given = io.BytesIO(info.tobuf(tarfile.GNU_FORMAT)), 0

        def read(self, size: int, /) -> bytes:
            data = self.head.read(size) or bytes(size)
            self.given += len(data)
            return data

    source = Endless()
    with pytest.raises(InvalidDocument, match="larger than any of ours"):
        members_of(source, lambda *_: None)
    assert source.given <= 1024


@pytest.mark.parametrize(
    ("path", "target", "is_one"),
    [
        ("live/a", "../releases/a/tree", True),
        ("a", "b", True),
        ("a", "../b", False),
        ("a/b", "..", False),
        ("a/b", "../c/../d", False),
        ("a/b", "/etc", False),
        ("a/b", "", False),
        ("a/b", "../../c", False),
    ],
)
def test_links_stay_in_the_home(path: str, target: str, is_one: bool) -> None:
    """A step up counts at the beginning only: behind a name it may be anywhere."""
    assert is_within(path, target) == is_one
