"""Taking an installation away: what it wrote, and nothing else. The fleet's data goes only where that was asked for."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from functools import partial

from .install import Work, current, left_steps
from .live import command_step, enabled_units, is_live, running_units
from .outside import is_changed, read_record, remove_step
from .places import CONFIGURATION, CURRENT, OPT, OWN_FOLDERS, RECORD, RELEASES, STATE
from .release import releases, remove_folder
from .steps import Done, Step


def uninstall(work: Work, *, is_purged: bool) -> Done:
    """Stop the fleet and remove what was installed; `is_purged`: keys, trail and state of the fleet too, for good.

    Users stay: their numbers own files, and another user would get them.
    """
    work.require_right()
    was = current(work.tree)
    if is_live(work.tree):
        work.do(*_stop_steps())
    work.do(*_outside_steps(work))
    work.do(*_program_steps(work))
    if is_live(work.tree):
        work.do(command_step(["systemctl", "daemon-reload"]))
    if is_purged:
        work.do(*_data_steps(work))
    return work.done(was, *_hints(work, is_purged=is_purged))


def _stop_steps() -> Iterator[Step]:
    """Agents and services before the server; names that systemd knows, none that are guessed."""
    enabled, running = enabled_units(), running_units()
    if enabled:
        yield command_step(["systemctl", "disable", *enabled])
    stopped = [unit for unit in running if unit != "nats-server.service"]
    if stopped:
        yield command_step(["systemctl", "stop", *sorted(stopped)])
    if "nats-server.service" in running:
        yield command_step(["systemctl", "stop", "nats-server.service"])


def _outside_steps(work: Work) -> Iterator[Step]:
    tree, record = work.tree, read_record(work.tree)
    for path in sorted(record.files):
        if is_changed(tree, path, record):
            yield Step("keep", path, detail="was changed here; remove it by hand")
        elif tree.is_there(path):
            yield remove_step(tree, path)


def _program_steps(work: Work) -> Iterator[Step]:
    tree = work.tree
    for path in (CURRENT, RECORD):
        if tree.is_there(path):
            yield Step("remove", path, partial(tree.remove, path))
    yield from left_steps(tree)
    for name in releases(tree):
        path = f"{RELEASES}/{name}"
        yield Step("remove", path, partial(remove_folder, tree.at(path)))
    for path in (RELEASES, *OWN_FOLDERS):
        if tree.at(path).is_dir():
            yield Step("remove", path, partial(_remove_if_empty, work, path), "if nothing else is in it")


def _remove_if_empty(work: Work, path: str) -> None:
    with contextlib.suppress(OSError):
        work.tree.at(path).rmdir()


def _data_steps(work: Work) -> Iterator[Step]:
    for path in (STATE, CONFIGURATION):
        if work.tree.at(path).is_dir():
            work.tree.check(path)
            yield Step("remove", path, partial(shutil.rmtree, work.tree.at(path)), "for good")


def _hints(work: Work, *, is_purged: bool) -> list[str]:
    left = [path for path in (STATE, CONFIGURATION) if work.tree.at(path).is_dir()]
    hints = (
        []
        if is_purged or not left
        else [f"left: {' and '.join(left)}, with the fleet's keys, trail and state; --purge removes it"]
    )
    return [
        *hints,
        f"left: the users of the fleet (getent passwd | grep -e '^agent' -e '^seal-' -e '^nats:'); nothing else is in {OPT}",
    ]
