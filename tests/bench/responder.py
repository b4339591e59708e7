"""The answering side of the request benchmark's baseline: raw nats-py with an agent's own key."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import nats
import uvloop
from nats.aio.msg import Msg

from bus.surroundings import Home
from schemas import names

AGENT = "greeter"
_ANSWER = (
    b'{"message":{"messageId":"1","role":"ROLE_AGENT","parts":[{"data":{"words":3,"characters":13,"longest":[]}}]}}'
)


async def raw(url: str, home: Home) -> None:
    """Answer every request with the same bytes and headers."""
    seed = str(home.credentials(AGENT) / names.BUS_CREDENTIAL)
    client = await nats.connect(url, nkeys_seed=seed, inbox_prefix=names.inbox_prefix(AGENT))
    headers = {names.A2A_VERSION: "1.0", names.CONTENT_TYPE: "application/a2a+json"}

    async def answer(message: Msg) -> None:
        await client.publish(message.reply, _ANSWER, headers=headers)

    await client.subscribe(f"a2a.v1.req.{AGENT}.*.*", queue=AGENT, cb=answer)
    await client.flush()
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(raw(sys.argv[1], Home(Path(sys.argv[2]))))
