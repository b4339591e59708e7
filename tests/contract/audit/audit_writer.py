"""A producing process for the tests: emits without end, and prints the counter that each `confirm` covered."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from bus.audit.emit import Audit
from bus.audit.producer import Producer
from bus.connection import Connection, Profile
from bus.credentials import Credential
from schemas import names


async def main(url: str, keys: str, directory: str, burst: int) -> None:
    credential = Credential(Path(keys) / "greeter.nk")
    profile = Profile(url=url, credential=credential, name="greeter", inbox_prefix=names.inbox_prefix("greeter"))
    connection = await Connection.open(profile)
    producer = Producer("greeter", "0", is_agent=True)
    audit = await Audit.open(connection, producer, Credential(Path(keys) / "greeter.audit.nk"), Path(directory))
    emitted = 0
    while True:
        for _ in range(burst):
            audit.emit("request.received", action="SendMessage", size=emitted)
            emitted += 1
        print(f"emitted {emitted}\n", end="", flush=True)  # one write: a killed process leaves no half line
        await audit.confirm(timeout_s=30)
        print(f"confirmed {emitted}\n", end="", flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
