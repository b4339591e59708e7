"""Rotation of the trail, with the right to make streams and the server closed to everybody else.

    archived   all of AUDIT is read, and copied to AUDIT_<first>_<last>, which is sealed as it is made
    noted      the server has ended, and what it wrote and the plan are on the disk: from here on AUDIT may be gone
    compared   a new server reads the archive, which must hold what AUDIT held, message by message
    deleted    AUDIT
    mirrored   AUDIT is made as a mirror of the archive that keeps the last message of each subject, at its sequence
    promoted   one change: it is no mirror any more, takes messages as before, and lists the archive

So numbers go on, and so does every producer: what the server holds against a second writer (the last sequence of each
subject) and what a process asks for when it starts are there. The messages that are left in AUDIT for that are copies
without some headers (measured on 2.15), which is why an archive is no mirror, and why they are read from the archive.

What was done is seen from the streams: interrupted anywhere, `Rotation` goes on. Until `deleted` AUDIT is whole, and
what was made of an archive is made again. After it the archive is all there is, and the plan says what it must hold.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from bus.audit.archives import LIST, MESSAGES, ROOT, Archive, Archives, problem_of, spelled
from bus.audit.copies.snapshot import copy_stream
from bus.audit.read import Reader
from bus.audit.tlog.leaf import Leaf
from bus.audit.tlog.merkle import CompactRange
from bus.connection import Connection
from bus.errors import NotProvisioned
from bus.files import replace_durably, sync_folder
from bus.jetstream import call, found_or_none
from bus.provision.archive_list import read_archives
from bus.provision.store_key import refuse_unread
from bus.provision.streams import Stream
from bus.surroundings import Home
from schemas import names
from schemas.errors import DeadlineExceeded, InvalidDocument

PLAN: Final = "rotation.json"
_STANDS_STILL_S: Final = 60.0
_NOT_OF_A_MIRROR: Final = frozenset({"subjects", "allow_atomic", "duplicate_window", "deny_delete", "deny_purge"})
_INTERRUPTED = "a rotation of the trail was interrupted and nothing is lost; go on with: agentbus audit rotate"
Progress = Callable[[int, int], None]


class Plan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is on the disk before AUDIT is deleted: all archives, and what the last one, the new one, holds."""

    archives: tuple[str, ...]
    messages: int
    root: str
    by: str
    """Who began it: an account of the host, as it says itself."""

    @property
    def archive(self) -> Archive:
        """The new one."""
        return Archive.parse(self.archives[-1])


class Rotation:
    """One rotation of the fleet's trail. `admin` may do everything in its account, `stream` is AUDIT as it is provisioned."""

    def __init__(
        self, admin: Connection, home: Home, stream: Stream, on_step: Callable[[str], None], on_progress: Progress
    ) -> None:
        self._admin = admin
        self._files = home.store / "jetstream" / stream.account / "streams"
        self._config = stream.config
        self._plan = plan_file(home)
        self._left = f"nothing more was done; what should be there is in {self._plan}, or see: agentbus audit restore"
        self._on_step = on_step
        self._on_progress = on_progress

    async def interrupted(self) -> Plan | None:
        """The plan of a rotation that was interrupted when AUDIT might have been gone; None where there is none.

        Raises:
            NotProvisioned: AUDIT is gone, and not by a rotation.
        """
        plan, info = read_plan(self._plan), await self._info()
        if info and _is_whole(info, plan):
            return plan if plan and _is_listed(info, plan) else None
        if plan is None:
            raise NotProvisioned(
                f"stream {names.AUDIT} is gone or a mirror, by no rotation: see agentbus audit restore"
            )
        return plan

    async def archive(self, by: str) -> Plan:
        """Copy what AUDIT holds to an archive; the plan is to be noted when the server has ended.

        Raises:
            InvalidDocument: AUDIT has a gap, or the archive is not what it should be; nothing was changed. Also what
                `copy_stream` raises.
        """
        info = await call(self._admin, f"STREAM.INFO.{names.AUDIT}")
        before, state = Archives.listed(info["config"]), info["state"]
        archive = Archive(before.last + 1, state["last_seq"])
        await self._remove_unlisted(before)
        self._on_step(f"reading stream sequences {archive.first} to {archive.last}")
        root = await self._root_of(names.AUDIT, archive)
        self._on_step(f"copying them to {archive.name}")
        metadata = {MESSAGES: str(state["messages"]), ROOT: root}
        config = archive_config(self._config, archive) | {"metadata": metadata}
        copied = await copy_stream(self._admin, names.AUDIT, config)
        all_archives = (*(one.name for one in before.all), archive.name)
        plan = Plan(archives=all_archives, messages=copied["messages"], root=root, by=by)
        await self._look_at(plan)
        return plan

    async def cut(self, plan: Plan) -> None:
        """Have AUDIT go on after the archive, from whatever step on."""
        info = await self._info()
        if info and _is_listed(info, plan):
            return
        if info and info["config"].get("mirror"):
            await self._look_at(plan)
            await self._remove(names.AUDIT)  # half made; while it is there it answers for the archive
            info = None
        if info and _is_whole(info, plan) and info["state"]["last_seq"] != plan.archive.last:
            raise InvalidDocument(f"{names.AUDIT} has grown since it was copied; {self._left}; to begin anew, repeat")
        await self._require(plan)
        self._on_step(f"cutting {names.AUDIT} after stream sequence {plan.archive.last}")
        if info:
            await self._remove(names.AUDIT)
        await call(self._admin, f"STREAM.CREATE.{names.AUDIT}", mirror_config(self._config, plan.archive))
        await self._caught_up(plan.archive)
        listed = spelled(map(Archive.parse, plan.archives))
        await call(self._admin, f"STREAM.UPDATE.{names.AUDIT}", self._config | {"metadata": {LIST: listed}})

    async def _require(self, plan: Plan) -> None:
        """The archive is there, sealed, and holds what AUDIT held."""
        archive = plan.archive
        await self._look_at(plan)
        self._on_step(f"comparing {archive.name}")
        if await self._root_of(archive.name, archive) != plan.root:
            raise InvalidDocument(f"archive {archive.name} does not hold what {names.AUDIT} held; {self._left}")

    async def _look_at(self, plan: Plan) -> None:
        """As far as the server says it without a reading."""
        info = await found_or_none(self._admin, f"STREAM.INFO.{plan.archive.name}")
        if problem := problem_of(plan.archive, info) if info else f"archive {plan.archive.name} is not there":
            raise InvalidDocument(f"{problem}; {self._left}")

    async def _root_of(self, stream: str, archive: Archive) -> str:
        """The Merkle root over the archive's messages, in hex."""
        tree, reader = CompactRange(), Reader(self._admin, stream=stream)
        async for record in reader.records(archive.first, until=archive.last):
            leaf = Leaf.of_answer(record.block, record.payload)
            if leaf.sequence != archive.first + tree.size:
                break
            tree.append(leaf.hash())
            if tree.size % 100 == 0:
                self._on_progress(leaf.sequence, archive.last)
        if archive.first + tree.size <= archive.last:
            raise InvalidDocument(f"stream {stream} does not hold stream sequence {archive.first + tree.size}")
        return tree.root().hex()

    async def _caught_up(self, archive: Archive) -> None:
        """Return when AUDIT holds the last message of each subject of the archive."""
        whole = (await call(self._admin, f"STREAM.INFO.{archive.name}"))["state"]
        reached, since = -1, time.monotonic()
        while True:
            state = (await call(self._admin, f"STREAM.INFO.{names.AUDIT}"))["state"]
            if (state["last_seq"], state["messages"]) == (archive.last, whole["num_subjects"]):
                return
            if state["last_seq"] != reached:
                reached, since = state["last_seq"], time.monotonic()
                self._on_progress(reached, archive.last)
            elif time.monotonic() - since > _STANDS_STILL_S:
                raise DeadlineExceeded(f"the server stopped copying at stream sequence {reached}; {_INTERRUPTED}")
            await asyncio.sleep(0.05)

    async def _remove_unlisted(self, archives: Archives) -> None:
        """Of an attempt that was interrupted; AUDIT is whole."""
        for name in await named_archives(self._admin):
            if name not in {one.name for one in archives.all}:
                await self._remove(name)

    async def _remove(self, stream: str) -> None:
        """Delete a stream, and wait until its files are gone: nothing is made in their place before."""
        await call(self._admin, f"STREAM.DELETE.{stream}", timeout_s=_STANDS_STILL_S)
        await removed(self._files / stream)

    async def _info(self) -> dict[str, Any] | None:
        return await found_or_none(self._admin, f"STREAM.INFO.{names.AUDIT}")


def _is_listed(info: Mapping[str, Any], plan: Plan) -> bool:
    """Whether AUDIT goes on after the new archive."""
    return not info["config"].get("mirror") and plan.archive in Archives.listed(info["config"]).all


def _is_whole(info: Mapping[str, Any], plan: Plan | None) -> bool:
    """Whether AUDIT holds all that it must: a server that is killed while it deletes a stream may leave some of it."""
    if info["config"].get("mirror"):
        return False
    if plan is None or _is_listed(info, plan):
        return True
    return bool(info["state"]["messages"] >= plan.messages and info["state"]["last_seq"] >= plan.archive.last)


def archive_config(live: dict[str, Any], archive: Archive) -> dict[str, Any]:
    """AUDIT's configuration as an archive has it: as many copies, no subjects, and nothing may change it any more."""
    kept = {key: value for key, value in live.items() if key != "allow_atomic"}
    return kept | {"name": archive.name, "subjects": [], "sealed": True}


def mirror_config(live: dict[str, Any], archive: Archive) -> dict[str, Any]:
    """AUDIT as the mirror that it is for a moment."""
    kept = {key: value for key, value in live.items() if key not in _NOT_OF_A_MIRROR}
    return kept | {"mirror": {"name": archive.name}, "max_msgs_per_subject": 1, "discard": "old"}


def plan_file(home: Home) -> Path:
    """Where the plan is while AUDIT may be gone."""
    return home.state(names.ROTATION) / PLAN


def read_plan(path: Path) -> Plan | None:
    """The plan that is noted there.

    Raises:
        InvalidDocument: it cannot be read.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Plan)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise InvalidDocument(f"{path} is not the plan of a rotation: {error}") from None


async def note(home: Home, plan: Plan) -> None:
    """Have the plan on the disk, and before it all that a server wrote that has ended."""
    path = plan_file(home)
    await asyncio.to_thread(os.sync)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    replace_durably(path, msgspec.json.encode(plan))


async def forget(home: Home) -> None:
    """The trail is as it should be: when all of it is on the disk, no plan is left."""
    await asyncio.to_thread(os.sync)
    if plan_file(home).exists():
        plan_file(home).unlink()
        sync_folder(plan_file(home).parent)


async def removed(files: Path, within_s: float = 30.0) -> None:
    """Return when the server has removed the files of a stream that it deleted.

    Raises:
        DeadlineExceeded: it has not.
    """
    deadline = time.monotonic() + within_s
    while files.exists():
        if time.monotonic() > deadline:
            raise DeadlineExceeded(f"the server did not remove {files} within {within_s:g} s")
        await asyncio.sleep(0.02)


async def archives_of(admin: Connection, home: Home, stores: Sequence[Path] = ()) -> tuple[str, ...]:
    """The archives of the trail as it is.

    Raises:
        NotProvisioned: it is being rotated, or AUDIT is gone and archives are there, or the server could not read one:
            nothing is made in the place of any of it.
    """
    there, plan = await named_archives(admin), read_plan(plan_file(home))
    info = await found_or_none(admin, f"STREAM.INFO.{names.AUDIT}")
    listed = tuple(one.name for one in Archives.listed(info["config"]).all) if info else ()
    for name in {*listed, *read_archives(home), *(plan.archives if plan else ())} - {*there}:
        refuse_unread(Stream(names.ACCOUNT_AUDIT, {"name": name}), stores)
    if info is None and there:
        refuse_unread(Stream(names.ACCOUNT_AUDIT, {"name": names.AUDIT}), stores)
    if (info and not _is_whole(info, plan)) or (plan and there and not info):
        raise NotProvisioned(_INTERRUPTED)
    if info is None and there:
        raise NotProvisioned(
            f"stream {names.AUDIT} is gone, its archives are there: {', '.join(there)}; "
            "put the trail back from a snapshot, see: agentbus audit restore"
        )
    if plan and not (info and _is_listed(info, plan)):
        plan_file(home).unlink()  # AUDIT is whole, and goes on: what was planned is not what it will hold
    return listed


async def named_archives(admin: Connection) -> list[str]:
    """Every stream that has the name of an archive."""
    found: list[str] = []
    while True:
        answer = await call(admin, "STREAM.NAMES", {"offset": len(found)})
        page = answer.get("streams") or []
        found += page
        if not page or len(found) >= answer["total"]:
            return [name for name in found if _is_archive(name)]


def _is_archive(name: str) -> bool:
    try:
        Archive.parse(name)
    except InvalidDocument:
        return False
    return True
