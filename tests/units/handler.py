"""The skill of the agent `trial`: does what a unit must bear. Copied into its folder.

A text is one word and a number: `freeze`, `late S`, `memory MiB`, `children N`, `burn S`, `fill MiB`, `work MS NAME`,
`bash COMMAND`.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from agents.skill import Context, skill
from agents.tools.files.workspace import Workspace
from agents.tools.shell.sandbox import told
from agents.tools.shell.unit import SOCKET_VARIABLE, UnitCommands
from approvals.trial.jail import Limits

_TAKE = "kept = [bytearray(b'x' * (1 << 20)) for _ in range(int(__import__('sys').argv[1]))]"


@skill(description="Does one thing to its own unit.")
async def trial(request: str, ctx: Context) -> str:
    """One of the things below."""
    what, _, amount = request.partition(" ")
    return await _THINGS[what](amount)


async def _freeze(_: str) -> str:
    time.sleep(600)
    return "was never ended"


async def _late(seconds: str) -> str:
    time.sleep(float(seconds))
    return "went on"


async def _memory(mib: str) -> str:
    """A child takes it, as a tool would."""
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", _TAKE, mib)
    return f"the child ended with {await child.wait()}"


async def _own_memory(mib: str) -> str:
    kept = [bytearray(b"x" * (1 << 20)) for _ in range(int(mib))]
    return f"has {len(kept)} MiB"


async def _children(count: str) -> str:
    """Start so many at a time, and say how many there were."""
    children: list[subprocess.Popen[bytes]] = []
    try:
        for _ in range(int(count)):
            children.append(subprocess.Popen(["/bin/sleep", "60"]))  # noqa: PERF401  those that were started are kept
    except OSError as error:
        return f"{len(children)} children, then: {error.strerror}"
    finally:
        for child in children:
            child.kill()
            child.wait()
    return f"{len(children)} children"


async def _burn(seconds: str) -> str:
    """Two children use all the processor they get; the answer is how much that was, in seconds."""
    began = time.monotonic()
    children = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
    await asyncio.sleep(float(seconds))
    for child in children:
        child.kill()
    used = sum(os.wait4(child.pid, 0)[2].ru_utime for child in children)
    return f"{used:.2f} of {time.monotonic() - began:.2f}"


async def _fill(mib: str) -> str:
    """Write so much to /tmp."""
    file, written = Path("/tmp/filled"), 0
    try:
        with file.open("wb") as out:
            for _ in range(int(mib)):
                written += out.write(bytes(1 << 20))
    except OSError as error:
        return f"{written >> 20} MiB, then: {error.strerror}"
    finally:
        file.unlink()
    return f"{written >> 20} MiB"


async def _work(amount: str) -> str:
    """Leave `began NAME`, wait, leave `done NAME`."""
    milliseconds, _, name = amount.partition(" ")
    _note(f"began {name}")
    await asyncio.sleep(int(milliseconds) / 1000)
    _note(f"done {name}")
    return name


def _note(line: str) -> None:
    with Path(os.environ["STATE_DIRECTORY"], "worked").open("a") as out:
        out.write(f"{line}\n")  # one write each: lines of tasks at the same time do not mix


async def _bash(command: str) -> str:
    """A command of a model, as the tool `bash` has it run."""
    place = Path(os.environ["STATE_DIRECTORY"]), Path(os.environ[SOCKET_VARIABLE])
    return told(await UnitCommands(Workspace(place[0]), Limits(seconds=5), place[1]).run(command, 10_000))


_THINGS: dict[str, Callable[[str], Awaitable[str]]] = {
    "freeze": _freeze,
    "late": _late,
    "memory": _memory,
    "own-memory": _own_memory,
    "children": _children,
    "bash": _bash,
    "burn": _burn,
    "fill": _fill,
    "work": _work,
}
