"""Commands in a unit of systemd: where the agent's own unit gives it no namespaces, a socket starts one that confines.

Each connection to the agent's own socket starts `agent-tool@.service`: a user of its own, no network, nothing of the fleet, limits. The files of
the workspace are sent with the command and come back afterwards; nothing of the agent is mounted there.

Not guaranteed: that two commands at the same time see each other's files; the one that ends last has its way with
files that both changed. Links and modes do not come back.
"""

from __future__ import annotations

import asyncio
import tarfile
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Final

import msgspec

from agents.tools.errors import ToolAway, ToolFailed
from agents.tools.files.workspace import Workspace
from agents.tools.shell.order import LONGEST_LINE, LONGEST_S, Order, Outcome
from agents.tools.shell.sandbox import Ended
from agents.tools.shell.transfer import MAX_BYTES, Sums, TooMuch, pack, place, unpack
from approvals.trial.jail import Limits
from bus.unix_sockets import short_name
from schemas.errors import UNREADABLE

SOCKET_VARIABLE: Final = "AGENTBUS_TOOL_SOCKET"
"""Its path, in the environment of an agent whose unit has one."""
_GRACE_S: Final = 15.0
_PIECE: Final = 1 << 16
_MOST_ANSWER: Final = 2 * MAX_BYTES
_NOT_THERE: Final = "bash does not run here: {socket} does not answer ({reason}). Nothing was run. Eight commands of an agent run at a time; where none does, the operator runs: systemctl status 'agent-tool@*.socket'"
_TOO_MUCH: Final = (
    f"the workspace holds more than the {MAX_BYTES} bytes or 10000 files that go with a command; remove something first"
)


@dataclass(frozen=True, slots=True)
class UnitCommands:
    """Runs commands one beside the other, each in a unit that `socket` starts."""

    workspace: Workspace
    limits: Limits
    socket: Path

    async def run(self, command: str, max_output: int, *, may_write: bool = True) -> Ended:
        """Run `command` in the unit, and bring the workspace to what it left.

        One that may not write can remove files all the same.

        Raises:
            ToolFailed: it was not run, or what it left cannot be kept.
        """
        order = Order(
            command=command,
            seconds=min(self.limits.seconds, LONGEST_S),
            memory_bytes=self.limits.memory_bytes,
            processes=self.limits.processes,
            file_bytes=self.limits.file_bytes if may_write else 0,
            max_output=max_output,
        )
        with TemporaryFile() as request, TemporaryFile() as answer:
            sent = await asyncio.to_thread(self._write, request, order)
            await self._exchange(request, answer, order.seconds)
            return await asyncio.to_thread(self._read, answer, sent)

    def _write(self, request: IO[bytes], order: Order) -> Sums:
        request.write(msgspec.json.encode(order) + b"\n")
        try:
            return pack(self.workspace.ensure(), request)
        except TooMuch:
            raise ToolFailed(_TOO_MUCH) from None
        except OSError as error:
            raise ToolFailed(f"the workspace cannot be read: {error.strerror}") from None
        finally:
            request.seek(0)

    async def _exchange(self, request: IO[bytes], answer: IO[bytes], seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds + _GRACE_S):
                with short_name(self.socket) as name:
                    reader, writer = await asyncio.open_unix_connection(name)
                try:
                    while piece := request.read(_PIECE):
                        writer.write(piece)
                        await writer.drain()
                    writer.write_eof()
                    await _collect(reader, answer)
                finally:
                    writer.close()
        except (OSError, TimeoutError) as error:
            raise ToolAway(_NOT_THERE.format(socket=self.socket, reason=error or "timeout")) from None
        finally:
            answer.seek(0)

    def _read(self, answer: IO[bytes], sent: Sums) -> Ended:
        try:
            outcome = msgspec.json.decode(answer.readline(LONGEST_LINE), type=Outcome)
        except UNREADABLE:
            return Ended(
                None,
                "",
                "it took more than its unit may have, of time, memory or processes; the workspace is as it was",
            )
        ended = Ended(outcome.status, outcome.output, outcome.why)
        if not outcome.has_files:
            return ended
        try:
            with tarfile.open(fileobj=answer, mode="r|") as archive:
                place(self.workspace, sent, unpack(archive))
        except (tarfile.TarError, TooMuch):
            raise ToolFailed(
                "the command was run, and left files that cannot be kept: too many, too large, or cut off"
            ) from None
        return ended


async def _collect(reader: asyncio.StreamReader, answer: IO[bytes]) -> None:
    size = 0
    while piece := await reader.read(_PIECE):
        size += len(piece)
        if size > _MOST_ANSWER:
            raise TimeoutError("it sends more than may be")
        answer.write(piece)
