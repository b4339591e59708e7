"""The program of `agent-tool@.service`: one command, with the files it came with, in the sandbox that the unit is.

Reads an `Order` and a tar on standard input, both to their end; writes an `Outcome` and a tar on standard output. The
command has the user of this program and could speak in its place: whoever reads the answer takes it for the command's.
"""

from __future__ import annotations

import asyncio
import io
import os
import resource
import sys
import tarfile
from pathlib import Path
from typing import Final

import msgspec

from agents.tools.shell.order import LONGEST_LINE, Order, Outcome
from agents.tools.shell.output import Output
from agents.tools.shell.sandbox import SCRIPT, collected, ended, shell
from agents.tools.shell.transfer import TooMuch, pack, unpack

WORKSPACE: Final = Path("/workspace")


def serve_command(root: Path = WORKSPACE) -> None:
    """Do what the order on standard input says, in the folder `root`."""
    stream, answer = sys.stdin.buffer, sys.stdout.buffer
    order = msgspec.json.decode(stream.readline(LONGEST_LINE), type=Order)
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        _unpacked(archive, root)
    outcome = asyncio.run(_run(order, root))
    packed, outcome = _packed(root, outcome)
    answer.write(msgspec.json.encode(outcome) + b"\n")
    answer.write(packed.getbuffer())
    answer.flush()
    os._exit(0)  # something that the command left may hold its output open; the unit ends it


def _unpacked(archive: tarfile.TarFile, root: Path) -> None:
    for name, content in unpack(archive):
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


def _packed(root: Path, outcome: Outcome) -> tuple[io.BytesIO, Outcome]:
    """The files of the workspace; none of them where there is too much, which is said."""
    packed = io.BytesIO()
    try:
        pack(root, packed)
    except (TooMuch, OSError) as error:
        why = (
            "it left more files than may come back"
            if isinstance(error, TooMuch)
            else f"its files cannot be read: {error.strerror}"
        )
        return io.BytesIO(), msgspec.structs.replace(
            outcome, status=None, why=f"{why}; the workspace is as it was", has_files=False
        )
    return packed, outcome


async def _run(order: Order, root: Path) -> Outcome:
    output = Output(order.max_output)
    environment = {**_shown(), "AGENTBUS_COMMAND": order.command}
    process = await asyncio.create_subprocess_exec(
        *shell(), "-c", SCRIPT, cwd=root, env=environment, start_new_session=True, preexec_fn=lambda: _limit(order),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        async with asyncio.timeout(order.seconds):
            is_whole = await collected(process, output)
            status = await process.wait() if is_whole else None
    except TimeoutError:
        return Outcome(status=None, output=output.text(), why=f"it did not end within {order.seconds:g} s")
    finally:
        await ended(process)
    return Outcome(status=status, output=output.text(), why="" if is_whole else "it printed too much")


def _shown() -> dict[str, str]:
    """Of the unit's environment what a command needs."""
    return {"PATH": os.defpath, **{name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR") if name in os.environ}}


def _limit(order: Order) -> None:
    for kind, value in (
        (resource.RLIMIT_AS, order.memory_bytes),
        (resource.RLIMIT_CPU, int(order.seconds) + 1),
        (resource.RLIMIT_NPROC, order.processes + 1),
        (resource.RLIMIT_FSIZE, order.file_bytes),
    ):
        hard = resource.getrlimit(kind)[1]
        least = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (least, least))
