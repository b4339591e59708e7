"""The skill whose effect is counted: each run that comes to its end leaves one line in a file, synced to disk.

This file is copied into the folder of the agent that the chaos run serves. A text is `<name> <milliseconds>`,
or `large <bytes>` for an answer of that size and no effect.
"""

from __future__ import annotations

import asyncio
import os
import time

from agents.skill import Context, skill


@skill(description="Leaves one line for each run.")
async def work(request: str, ctx: Context) -> str:
    """Wait for so many milliseconds, then append `<name> <began, ns> <pid>`."""
    began_ns = time.time_ns()
    name, _, amount = request.partition(" ")
    if name == "large":
        return "x" * int(amount)
    await asyncio.sleep(int(amount) / 1000)
    _append(f"{name} {began_ns} {os.getpid()}\n")
    return name


def _append(line: str) -> None:
    file = os.open(os.environ["CHAOS_EFFECTS"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(file, line.encode())  # one write of O_APPEND: lines of several workers do not mix
        os.fsync(file)
    finally:
        os.close(file)
