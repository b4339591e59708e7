"""A fault at a named step of a sealer or a witness: it happens once, then everything works again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from agents.processes import sealing
from bus import files, jetstream
from bus.audit.seal import nodes, sealed_log, sealer, witness
from bus.connection import Connection
from schemas import names
from schemas.errors import Unavailable, UnknownOutcome
from tests.faults.planting import LATE_S, Fault, Instead, die, put, say

_FILES = {"sealed.json": sealed_log, "checkpoint file": sealer, "witness state": witness}
_CALLS = {"nodes write": (nodes, "pwrite"), "nodes fsync": (nodes, "fdatasync"), "sealed.json fsync": (files, "fsync")}
Store = Callable[..., Awaitable[Any]]


class SealFault(Fault):
    """`what` happens the first time that `step` is taken after `arm`; that is said before it happens."""

    def plant(self) -> None:
        """Put it in its place."""
        if self.step in _CALLS:
            module, name = _CALLS[self.step]
            put(module, "os", Instead(module.os, name, self.around(getattr(module.os, name))))
        elif self.step in _FILES:
            put(_FILES[self.step], "replace_durably", self.around(files.replace_durably))
        elif self.step == "witness answer":
            put(Connection, "publish", self._instead_of(Connection.publish, self._is_answering))
        else:
            put(sealer, "store", self._instead_of(jetstream.store, lambda: True))

    def spend(self) -> bool:
        """Whether it happens now."""
        is_now = super().spend()
        if is_now:
            say(struck=self.step)
        return is_now

    @staticmethod
    def _is_answering() -> bool:
        task = asyncio.current_task()
        return task is not None and getattr(task.get_coro(), "__name__", "") == sealing._answer.__name__

    def _instead_of(self, step: Store, is_it: Callable[[], bool]) -> Store:
        async def planted(*arguments: Any, **more: Any) -> Any:
            if not is_it() or not self.spend():
                return await step(*arguments, **more)
            return await self._take_store(step, arguments, more)

        return planted

    async def _take_store(self, step: Store, arguments: tuple[Any, ...], more: dict[str, Any]) -> Any:
        match self.what:
            case "fails" if self.step == "ack":  # the server refuses: somebody else wrote since
                return await step(*arguments, **more | {"headers": {names.EXPECTED_SUBJECT_SEQUENCE: "1"}})
            case "fails":
                raise Unavailable("planted: not sent")
            case "kill before":
                die()
            case "late" if self.step != "ack":
                await asyncio.sleep(LATE_S)
                return await step(*arguments, **more)
        done = await step(*arguments, **more)
        if self.what == "kill after":
            await arguments[0].flush()
            die()
        if self.what == "persisted":
            raise UnknownOutcome("planted: the answer is lost") if self.step == "ack" else Unavailable("planted: sent")
        await asyncio.sleep(LATE_S)
        return done
