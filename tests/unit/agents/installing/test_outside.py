"""Releases are switched, what is outside follows them, and what somebody changed is kept."""

from __future__ import annotations

import errno
import io
import os
import sys
import zipfile
from contextlib import redirect_stdout
from pathlib import Path

import msgspec
import pytest

from agents.cli.install.commands import How
from agents.cli.install.commands import roll_back as command_roll_back
from agents.installing.debian import depends
from agents.installing.drop_ins import systemd_version
from agents.installing.errors import NotPermitted, NotPossible, StepFailed, UnsafePlace
from agents.installing.install import Work, current, roll_back
from agents.installing.interpreter import Interpreter
from agents.installing.outside import outside_steps, read_record, wanted_files, write_record
from agents.installing.places import CURRENT, LAUNCHER, RECORD, RELEASES
from agents.installing.release import MANIFEST, UNITS, Manifest, releases
from agents.installing.running import run
from agents.installing.settle import put_files, settle, user_lines
from agents.installing.source import Source, this_product
from agents.installing.steps import follow
from agents.installing.tree import Tree
from agents.installing.uninstall import uninstall
from schemas.fleet import Fleet

UNIT = "/etc/systemd/system/agentbus.target"


def add_release(tree: Tree, name: str, made_at_ns: int, unit: str) -> None:
    """A release as building leaves it, without a program in it."""
    folder = f"{RELEASES}/{name}"
    tree.write(f"{folder}/{UNITS}/agentbus.target", unit.encode())
    manifest = Manifest(
        version=name, digest=name, python="", extras=[], packages={}, nats_server="2.15.0", made_at_ns=made_at_ns
    )
    tree.write(f"{folder}/{MANIFEST}", msgspec.json.encode(manifest))


def add_drop_in(tree: Tree, name: str) -> None:
    """Give a release a drop-in for systemd 254, a unit that it is for, and one that it is not for."""
    folder = f"{RELEASES}/{name}/{UNITS}"
    tree.write(f"{folder}/dropins/254/agentbus.conf", b"# newer\n")
    tree.write(f"{folder}/ours.service", b"[Service]\nType=notify\n")
    tree.write(f"{folder}/other.service", b"[Service]\nType=exec\n")


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """A root with three releases, of which the newest is in use with all that belongs to it."""
    tree = Tree(tmp_path)
    for number, name in enumerate(("1.0", "2.0", "3.0")):
        add_release(tree, name, number, f"# {name}\n")
    put(tree, "3.0")
    return tree


def put(tree: Tree, name: str) -> None:
    """Have a release in use."""
    written, steps = outside_steps(
        tree, wanted_files(tree.at(f"{RELEASES}/{name}/{UNITS}"), systemd_version(tree)), read_record(tree)
    )
    write_record(tree, written)
    follow(steps, lambda _: None, is_dry=False)
    tree.link(CURRENT, f"releases/{name}")


def work(tree: Tree, *, is_dry: bool = False) -> Work:
    """Quiet work."""
    return Work(tree, lambda _: None, is_dry=is_dry)


def everything(tree: Tree) -> dict[str, tuple[int, str]]:
    """Each path with when it was changed and where it leads."""
    return {str(p): (p.lstat().st_mtime_ns, str(p.readlink()) if p.is_symlink() else "") for p in tree.root.rglob("*")}


def test_rolling_back_goes_one_release_at_a_time(tree: Tree) -> None:
    """Link and units go back together; before the first release there is nothing."""
    for name in ("2.0", "1.0"):
        assert roll_back(work(tree)).release == name
        assert (current(tree), tree.read(UNIT)) == (name, f"# {name}\n".encode())
    with pytest.raises(NotPossible, match=r"no release before 1\.0: 1\.0, 2\.0, 3\.0"):
        roll_back(work(tree))


def test_saying_what_would_be_done_changes_nothing(tree: Tree) -> None:
    """Dry: the same steps, and not one file is touched."""
    before = everything(tree)
    dry = [step.shown for step in roll_back(work(tree, is_dry=True)).steps]
    uninstall(work(tree, is_dry=True), is_purged=True)
    assert everything(tree) == before
    assert [step.shown for step in roll_back(work(tree)).steps] == dry
    assert f"link   {CURRENT}  (to releases/2.0)" in dry


def test_a_file_that_somebody_changed_is_kept_and_named(tree: Tree) -> None:
    """By another release as by uninstalling; the rest goes on."""
    tree.write(UNIT, b"# mine\n")
    kept = [step for step in roll_back(work(tree)).steps if step.verb == "keep"]
    assert [step.what for step in kept] == [UNIT]
    assert "was changed here" in kept[0].detail
    done = uninstall(work(tree), is_purged=False)
    assert [step.what for step in done.steps if step.verb == "keep"] == [UNIT]
    assert [str(path.relative_to(tree.root)) for path in tree.root.rglob("*") if not path.is_dir()] == [UNIT[1:]]


def test_a_file_that_was_there_before_is_not_ours(tmp_path: Path) -> None:
    """It is neither replaced nor removed, and a link in its place (a masked unit) is nothing else."""
    tree = Tree(tmp_path)
    tree.link(UNIT, "/dev/null")
    add_release(tree, "1.0", 1, "# 1.0\n")
    put(tree, "1.0")
    uninstall(work(tree), is_purged=False)
    assert tree.link_target(UNIT) == "/dev/null"
    assert not tree.is_there(LAUNCHER)


def test_what_a_newer_systemd_understands_is_put_there(tree: Tree) -> None:
    """From 254 on, for units that say when they are ready; an older systemd, or none that can be told, has it not."""
    add_drop_in(tree, "3.0")
    shared, drop_in = "/usr/lib/x/systemd/libsystemd-shared-{}.so", "/etc/systemd/system/ours.service.d/agentbus.conf"
    assert systemd_version(tree) == 0
    for version, content in ((252, None), (257, b"# newer\n"), (253, None)):
        tree.write(shared.format(version), b"")
        assert systemd_version(tree) == version
        put(tree, "3.0")
        assert tree.read(drop_in) == content
        tree.remove(shared.format(version))
    assert not tree.at(drop_in).parent.exists()
    assert not tree.at(drop_in.replace("ours", "other")).exists()


def test_uninstalling_leaves_no_folder_of_drop_ins(tree: Tree) -> None:
    """But for one that holds somebody's own."""
    add_drop_in(tree, "3.0")
    tree.write("/usr/lib/systemd/libsystemd-shared-254.so", b"")
    put(tree, "3.0")
    tree.write("/etc/systemd/system/ours.service.d/override.conf", b"# mine\n")
    uninstall(work(tree), is_purged=False)
    assert [path.name for path in tree.at("/etc/systemd/system/ours.service.d").iterdir()] == ["override.conf"]


def test_an_interrupted_installation_knows_its_files(tree: Tree) -> None:
    """The record is written first: with it, both what was there and what should come are ours."""
    written, _ = outside_steps(tree, wanted_files(tree.at(f"{RELEASES}/2.0/{UNITS}"), 252), read_record(tree))
    write_record(tree, written)
    assert [
        step.verb
        for step in outside_steps(tree, wanted_files(tree.at(f"{RELEASES}/2.0/{UNITS}"), 252), read_record(tree))[1]
    ] == ["write"]
    assert not [step for step in uninstall(work(tree), is_purged=False).steps if step.verb == "keep"]


def test_data_goes_only_where_that_was_asked_for(tree: Tree) -> None:
    """Uninstalling leaves keys and trail, and says so; with purging they are gone, and nothing else is."""
    tree.write("/var/lib/agentbus/credentials/key", b"")
    tree.write("/var/lib/other", b"")
    assert "left: /var/lib/agentbus" in uninstall(work(tree), is_purged=False).hints[0]
    assert tree.is_there("/var/lib/agentbus/credentials/key")
    uninstall(work(tree), is_purged=True)
    assert not tree.is_there("/var/lib/agentbus")
    assert tree.is_there("/var/lib/other")


def test_half_a_release_is_none(tree: Tree) -> None:
    """What building left when the power went is not gone back to."""
    tree.write(f"{RELEASES}/.new-x/{MANIFEST}", b"{}")
    tree.make_folder(f"{RELEASES}/2.5")
    assert list(releases(tree)) == ["1.0", "2.0", "3.0"]


def test_what_a_killed_run_left_goes(tree: Tree) -> None:
    """Half of a new release, and half of one that was being removed; nothing else that lies there."""
    tree.write(f"{RELEASES}/.new-x/bin/python", b"")
    tree.write(f"{RELEASES}/.gone-0.9/{MANIFEST}", b"{}")
    tree.write(f"{RELEASES}/notes/mine", b"")
    done = uninstall(work(tree), is_purged=False)
    assert [step.what for step in done.steps if "interrupted" in step.detail] == [
        f"{RELEASES}/.gone-0.9", f"{RELEASES}/.new-x",
    ]  # fmt: skip
    assert [path.name for path in tree.at(RELEASES).iterdir()] == ["notes"]


def test_a_step_that_the_system_refuses_is_named(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk ends the run with the step and the reason; the same command goes on from there."""
    fsync = os.fsync

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StepFailed, match=rf"^write  {RECORD}\nNo space left on device; the same command"):
        roll_back(work(tree))
    assert current(tree) == "3.0"
    monkeypatch.setattr(os, "fsync", fsync)
    assert roll_back(work(tree)).release == "2.0"


def test_a_record_that_cannot_be_read_is_named(tree: Tree) -> None:
    """With what to do about it."""
    tree.write(RECORD, b"{")
    with pytest.raises(NotPossible, match="remove it, then every file that is not as shipped is kept"):
        uninstall(work(tree), is_purged=False)


def test_a_program_that_somebody_else_may_change_is_refused(tmp_path: Path) -> None:
    """A folder on the way that is not root's alone, before anything is put there."""
    tree = Tree(tmp_path)
    tree.require_roots("/opt/agentbus")
    tree.make_folder("/opt/agentbus")
    tree.at("/opt/agentbus").chmod(0o775)
    with pytest.raises(UnsafePlace, match="chmod 755 /opt/agentbus"):
        tree.require_roots("/opt/agentbus")


def test_a_machine_reads_one_object(tree: Tree) -> None:
    """--json: what was done, and nothing beside it."""
    with redirect_stdout(io.StringIO()) as out:
        command_roll_back(How(tree.root, as_json=True))
    told = msgspec.json.decode(out.getvalue())
    assert (told["release"], told["changed"], told["dry_run"]) == ("2.0", True, False)
    assert {"verb": "link", "what": CURRENT, "detail": "to releases/2.0"} in told["steps"]


def test_only_root_installs_on_the_machine_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Said before anything is begun; what would be done is told to everybody, and a folder is written by its owner."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(NotPermitted, match="--dry-run"):
        work(Tree(Path("/"))).require_right()
    work(Tree(Path("/")), is_dry=True).require_right()
    work(Tree(Path("/tmp"))).require_right()


def test_a_wheel_carries_what_installing_needs(tmp_path: Path) -> None:
    """The wheel of the checkout has units and lock in it, and is known as the same product."""
    source = this_product()
    run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)], folder=source.folder)
    (wheel,) = tmp_path.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "lib")
    data = tmp_path / "lib" / "agents" / "installing" / "data"
    installed = Source(
        source.version, tmp_path / "lib", data / "systemd", data / "requirements.lock", is_checkout=False
    )
    assert installed.digest() == source.digest()


def test_each_agent_has_a_user_of_its_own() -> None:
    """A line per agent, and one for each witness that the product's own file does not name."""
    fleet = Fleet.model_validate(
        {"name": "x", "agents": {"greeter": {}}, "operators": ["ops"], "witnesses": ["witness-a", "far"]}
    )
    assert user_lines(fleet) == {
        "agentbus-agent-greeter.conf": 'u agent-greeter - "agentbus agent greeter" /var/lib/agentbus/state/greeter\n',
        "agentbus-seal-far.conf": 'u seal-far - "agentbus witness" /var/lib/agentbus/state/far\n',
    }
    assert settle(Path("/nowhere"), fleet) == []
    assert RECORD.startswith("/opt/")


def test_the_line_of_an_agent_that_left_goes(tree: Tree) -> None:
    """With the note of it; one that somebody changed stays, and so does what is not ours."""
    gone, mine, stays = (f"/etc/sysusers.d/agentbus-agent-{name}.conf" for name in ("gone", "mine", "stays"))
    put_files(tree, {gone: b"u agent-gone", mine: b"u agent-mine", stays: b"u agent-stays"})
    tree.write(mine, b"u agent-mine 700")
    put_files(tree, {stays: b"u agent-stays"})
    assert [tree.is_there(path) for path in (gone, mine, stays)] == [False, True, True]
    assert not {gone, mine} & set(read_record(tree).files)
    assert tree.is_there(UNIT)


def test_a_package_leaves_etc_to_the_administrator(tmp_path: Path) -> None:
    """Units and launcher are where packages have theirs; what a package put there is changed by its manager alone."""
    tree = Tree(tmp_path)
    add_release(tree, "1.0", 1, "# 1.0\n")
    units = tree.at(f"{RELEASES}/1.0/{UNITS}")
    tree.write(f"{RELEASES}/1.0/{UNITS}/polkit-1/rules.d/x.rules", b"")
    add_drop_in(tree, "1.0")
    written, _ = outside_steps(tree, wanted_files(units, 254, is_packaged=True), read_record(tree))
    assert list(written) == [
        "/usr/lib/systemd/system/other.service", "/usr/lib/systemd/system/ours.service",
        "/usr/lib/systemd/system/agentbus.target", "/usr/share/polkit-1/rules.d/x.rules",
        "/usr/lib/systemd/system/ours.service.d/agentbus.conf", "/usr/bin/agentbus",
    ]  # fmt: skip
    write_record(tree, written, is_packaged=True)
    with pytest.raises(NotPossible, match="apt remove"):
        roll_back(work(tree))
    with pytest.raises(NotPossible, match="apt remove"):
        uninstall(work(tree), is_purged=True)


def test_a_package_names_the_python_that_it_was_made_for() -> None:
    """Compiled packages are for one minor version; a release with its own Python needs none."""
    assert depends(Interpreter(Path("/usr/bin/python3.13"), Path("/usr"), "3.13.5"), 257)[-3:] == [
        "systemd (>= 257)", "python3 (>= 3.13)", "python3 (<< 3.14)",
    ]  # fmt: skip
    own = depends(Interpreter(Path("/home/me/bin/python3"), Path("/home/me"), "3.13.5"), 0)
    assert "systemd (>= 252)" in own
    assert not [name for name in own if name.startswith("python3")]
