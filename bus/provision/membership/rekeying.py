"""New keys for members of a fleet that runs. (`bus.provision.rotation` is another thing: it rotates the trail.)

    made      new keys lie beside the old ones, as `bus.nk.next`; the server takes both
    changed   each key file holds the new key, the old one lies beside it as `bus.nk.before`
    used      the member's processes have been started again, with the new one
    refused   the server takes the new one alone, and the old one is gone from the disk

Up to `changed` the old key is the one that counts; from there on, the new one: whatever interrupts this, the next
provisioning lets in what is in the key file and nothing else. Where a process does not start with its new key, the
old one is put back. What signs events changes too, and its public part is believed on, for the events of before; what
seals the trail is replaced by `bus.provision.membership.resealing`.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bus.credentials import Credential, create_credential
from bus.errors import NotProvisioned
from bus.provision.membership.administering import administering
from bus.provision.membership.changing import Event, tell
from bus.provision.permissions import users_of
from bus.provision.provision import Running, is_let_in, reconfigure, write_configs, write_files
from bus.provision.retired import replace_signer
from bus.provision.server_config import NEXT, Keys
from bus.surroundings import Home
from schemas import names
from schemas.errors import AgentbusError
from schemas.fleet import Fleet

_BEFORE: Final = ".before"
Use = Callable[[str], Awaitable[object]]
"""Has a member's processes start again."""


@dataclass(frozen=True, slots=True)
class KeyFile:
    """One key file of a member."""

    principal: str
    path: Path

    @property
    def fresh(self) -> Path:
        """Where the new key is until it takes the place of the old one."""
        return self.path.with_name(self.path.name + NEXT)

    @property
    def old(self) -> Path:
        """Where the old one is from then on."""
        return self.path.with_name(self.path.name + _BEFORE)

    def second(self, path: Path) -> Keys:
        """The key in `path` as a second one of this user."""
        return {(self.principal, self.path.name + NEXT): Credential(path).public_key()}

    def begin(self) -> None:
        """Make a new key; what an interrupted run left is no use to anybody."""
        self.fresh.unlink(missing_ok=True)
        self.old.unlink(missing_ok=True)
        create_credential(self.fresh)

    def change(self) -> None:
        """Put the new key in place; at no moment is there none."""
        os.link(self.path, self.old)
        self.fresh.replace(self.path)

    def change_back(self) -> None:
        """Put the old key in place again, if it was changed."""
        self.fresh.unlink(missing_ok=True)
        if self.old.exists():
            self.old.replace(self.path)


def key_files(fleet: Fleet, home: Home, members: Sequence[str]) -> tuple[KeyFile, ...]:
    """The files with the keys that these members connect with."""
    users = [user for user in users_of(fleet) if user.principal in members]
    return tuple(KeyFile(user.principal, home.credentials(user.principal) / user.credential) for user in users)


async def rekey(fleet: Fleet, home: Home, servers: Sequence[Running], use: Use, events: Sequence[Event]) -> None:
    """Give new keys to the members that `events` are about, and refuse the old ones once everybody uses the new.

    Raises:
        NotProvisioned: a server does not take them. AuditUnavailable: the trail does not. What `use` raises: then, as
            before, the old keys count again, and processes that had changed already are started with them.
    """
    members = [event.member for event in events]
    files = key_files(fleet, home, members)
    keys = write_files(fleet, home)
    try:
        for file in files:
            file.begin()
        await reconfigure(fleet, home, _with_second(keys, files, fresh=True), servers)
        await _require(files, servers, is_wanted=True)
        for file in files:
            file.change()
        for path in (home.credentials(member) / names.AUDIT_CREDENTIAL for member in members):
            if path.exists():
                replace_signer(path)
        keys = write_files(fleet, home)
        write_configs(fleet, home, _with_second(keys, files, fresh=False))
        for member in members:
            await use(member)
    except AgentbusError:
        await _back(fleet, home, servers, use, files)
        raise
    async with administering(fleet, home, keys, servers) as admins:
        await tell(home, admins[names.ACCOUNT_AUDIT], events)
    await _require(files, servers, is_wanted=False)
    for file in files:
        file.old.unlink()


def _with_second(keys: Keys, files: Sequence[KeyFile], *, fresh: bool) -> Keys:
    seconds = [file.second(file.fresh if fresh else file.old) for file in files]
    return {**keys, **{user: key for second in seconds for user, key in second.items()}}


async def _require(files: Sequence[KeyFile], servers: Sequence[Running], *, is_wanted: bool) -> None:
    """Each server takes each new key, or refuses each old one."""
    for server in servers:
        for file in files:
            if await is_let_in(server, Credential(file.fresh if is_wanted else file.old)) != is_wanted:
                does = "does not take the new" if is_wanted else "still takes the old"
                raise NotProvisioned(f"the server at {server.url} {does} key of {file.principal}; see its log")


async def _back(fleet: Fleet, home: Home, servers: Sequence[Running], use: Use, files: Sequence[KeyFile]) -> None:
    """The keys of before, as far as it goes: the error that led here is what counts."""
    changed = [file.principal for file in files if file.old.exists()]
    for file in files:
        file.change_back()
    keys = write_files(fleet, home)
    try:
        await reconfigure(fleet, home, keys, servers)
        for member in dict.fromkeys(changed):
            await use(member)
    except AgentbusError:
        return
