"""A client of the binding, written from `nats/BINDING.md` alone: a NATS client and JSON, nothing of the product."""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Self

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

Json = dict[str, Any]
SILENCE_S = 45.0


class Refused(Exception):
    """An answer that is an error (section 7)."""

    def __init__(self, code: int, body: Json) -> None:
        self.code = code
        self.body = body
        self.info: Json = next(
            detail for detail in body["error"]["details"] if detail["@type"].endswith("google.rpc.ErrorInfo")
        )
        self.reason: str = self.info["reason"]
        super().__init__(f"{self.reason}: {body['error']['message']}")


class Away(Exception):
    """Nobody serves the agent (section 2)."""


class Broken(Exception):
    """A stream that has to be taken up again (section 6)."""


@dataclass(frozen=True)
class Frame:
    """One frame of a stream: its headers of this binding, and its body, None where it has none."""

    headers: dict[str, str]
    body: Json | None


@dataclass
class BindingClient:
    """`caller` asks with the key of its own; replies come to `a2a.v1.rep.<caller>.<agent>.<client>.<nonce>`."""

    connection: Client
    caller: str
    client: str = field(default_factory=lambda: secrets.token_hex(8))

    @classmethod
    async def connect(cls, url: str, caller: str, seed_file: str) -> BindingClient:
        """Authenticate with the nkey in `seed_file` (section 1)."""
        return cls(await nats.connect(url, nkeys_seed=seed_file), caller)

    async def ask(self, agent: str, operation: str, request: Json, **headers: str) -> Json:
        """One operation that has one answer (section 5)."""
        async with _Replies(self, agent) as replies:
            await self._send(agent, operation, request, replies.subject, headers)
            return _checked(await replies.next(30))

    async def stream(
        self,
        agent: str,
        operation: str,
        request: Json,
        last_event: int | None = None,
        lose: frozenset[int] = frozenset(),
    ) -> AsyncIterator[Frame]:
        """Frames of one subscription, checked (section 6); the frames `lose` are dropped, as a network might."""
        headers = {} if last_event is None else {"Agentbus-Last-Event": str(last_event)}
        async with _Replies(self, agent) as replies:
            await self._send(agent, operation, request, replies.subject, headers)
            expected = 1
            while True:
                message = await replies.next(SILENCE_S)
                own = {name: value for name, value in (message.headers or {}).items() if name.startswith("Agentbus-")}
                if "Agentbus-Frame" not in own:
                    _checked(message)
                if int(own["Agentbus-Frame"]) in lose:
                    continue
                if int(own["Agentbus-Frame"]) != expected:
                    raise Broken(f"frame {own['Agentbus-Frame']} came where {expected} was due")
                expected += 1
                if message.data or "Agentbus-End" in own:
                    yield Frame(own, json.loads(message.data) if message.data else None)
                if own.get("Agentbus-End") == "complete":
                    return

    async def follow(self, agent: str, request: Json, lose: frozenset[int] = frozenset()) -> list[tuple[int, Json]]:
        """Every (event number, response) of a streamed message, taken up again when the stream broke."""
        found: list[tuple[int, Json]] = []
        operation, asked, after = "SendStreamingMessage", request, None
        while True:
            try:
                async for frame in self.stream(agent, operation, asked, after, lose):
                    found += [(int(frame.headers["Agentbus-Event"]), frame.body)] if frame.body is not None else []
            except (Broken, TimeoutError, Refused) as error:
                if not found or (isinstance(error, Refused) and error.code != 503):
                    raise
                task = found[0][1]["task"]["id"]
                operation, asked, after, lose = "SubscribeToTask", {"id": task}, found[-1][0], frozenset()
            else:
                return found

    async def leave(self, agent: str, request: Json, key: str = "", **more: str) -> Json:
        """A durable task; returns the server's acknowledgement (section 8)."""
        headers = {"A2A-Version": "1.0", "Content-Type": "application/a2a+json", **more}
        if key:
            headers["Nats-Msg-Id"] = key
        subject = f"a2a.v1.task.{agent}.{self.caller}"
        inbox = f"_INBOX.{self.caller}.{secrets.token_hex(8)}"
        listening = await self.connection.subscribe(inbox)
        await self.connection.publish(subject, json.dumps(request).encode(), reply=inbox, headers=headers)
        answer: Json = json.loads((await listening.next_msg(timeout=10)).data)
        await listening.unsubscribe()
        return answer

    async def _send(self, agent: str, operation: str, request: Json, reply: str, more: dict[str, str]) -> None:
        headers = {
            "A2A-Version": "1.0",
            "Content-Type": "application/a2a+json",
            "Agentbus-Deadline": str(int(time.time() * 1000) + 30_000),
            **more,
        }
        subject = f"a2a.v1.req.{agent}.{self.caller}.{operation}"
        present = {name: value for name, value in headers.items() if value}
        await self.connection.publish(subject, json.dumps(request).encode(), reply=reply, headers=present)


@dataclass
class PartClient:
    """Large parts (section 13), on a connection with the caller's second key."""

    connection: Client

    @classmethod
    async def connect(cls, url: str, seed_file: str) -> PartClient:
        """Connect to the caller's own account."""
        return cls(await nats.connect(url, nkeys_seed=seed_file, inbox_prefix="_INBOX.ops"))

    async def put(self, reader: str, part: str, chunk: bytes) -> None:
        """Store a part of one chunk."""
        answer = await self.connection.request(
            f"part.put.{reader}.{part}.1", chunk, timeout=5, headers={"Nats-TTL": "3600"}
        )
        assert "error" not in json.loads(answer.data), answer.data

    async def get(self, writer: str, reader: str, part: Json) -> bytes:
        """The content of a part that `writer` sent to `reader`."""
        scheme, _, rest = part["url"].partition(":part:")
        whose, whom, identity = rest.split(":")
        assert (scheme, whose, whom) == ("urn:agentbus", writer, reader)
        stored, content = part["metadata"]["urn:agentbus:a2a:ext:large-parts:v1"], b""
        for number in range(1, stored["chunks"] + 1):
            asked = f"part.get.OBJ_{writer}.{writer}.{identity}.{number}"
            content += (await self.connection.request(asked, b"", timeout=5)).data
        assert (len(content), hashlib.sha256(content).hexdigest()) == (stored["size"], stored["sha256"])
        return content


class _Replies:
    """The messages on a reply subject of one request."""

    def __init__(self, client: BindingClient, agent: str) -> None:
        self._connection = client.connection
        self.subject = f"a2a.v1.rep.{client.caller}.{agent}.{client.client}.{secrets.token_hex(8)}"
        self._subscription: Subscription | None = None

    async def __aenter__(self) -> Self:
        self._subscription = await self._connection.subscribe(self.subject)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._subscription is not None:
            await self._subscription.unsubscribe()

    async def next(self, timeout_s: float) -> Msg:
        """The next message.

        Raises:
            Away: the server says that nobody listens. TimeoutError: nothing came.
        """
        assert self._subscription is not None
        message: Msg = await asyncio.wait_for(self._subscription.next_msg(timeout=timeout_s + 1), timeout_s)
        if not message.data and (message.headers or {}).get("Status") == "503":
            raise Away
        return message


def _checked(message: Msg) -> Json:
    body: Json = json.loads(message.data)
    code = (message.headers or {}).get("Nats-Service-Error-Code")
    if code:
        raise Refused(int(code), body)
    return body
