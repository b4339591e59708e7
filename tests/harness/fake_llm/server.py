"""The server: takes requests, checks them, answers with the script."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any, Self

from . import anthropic_wire, openai_wire
from .http import EVENTS, JSON, Response, read_request, send
from .steps import Answer, Cut, Drip, Fail, FailMidway, Held, Raw, Step, Wire

PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
"""To take out of the environment of a client that is to find the fake."""
_WIRES = {"openai": openai_wire, "anthropic": anthropic_wire}
_TIMEOUT_S = 30


@dataclass(frozen=True)
class Request:
    """What a client sent; header names in lower case."""

    wire: Wire
    headers: dict[str, str]
    body: dict[str, Any]
    path: str = ""


class FakeLlm:
    """The server; an async context manager. Steps are used up in order; then `default`, else an error 500."""

    def __init__(self, *, api_key: str = "test-key", default: Step | None = None) -> None:
        self.api_key = api_key
        self.default = default
        self.script: list[Step] = []
        self.requests: list[Request] = []
        """Those for an answer."""
        self.probes: list[Request] = []
        """Those for the list of models or a count of tokens."""
        self.probe_script: list[Fail] = []
        """How the next of those fail."""
        self.counted_tokens = 5
        self.connections = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._count = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def openai_url(self) -> str:
        """What `base_url` is for an OpenAI client."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def anthropic_url(self) -> str:
        """What `base_url` is for an Anthropic client."""
        return f"http://127.0.0.1:{self.port}"

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while await self._serve_one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, TimeoutError):
            pass  # the client went away, as clients may
        except asyncio.CancelledError:
            pass  # the test is over
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        async with asyncio.timeout(_TIMEOUT_S):
            method, target, headers, raw = await read_request(reader)
        path = target.split("?")[0]
        wire: Wire = "anthropic" if "anthropic-version" in headers or path == "/v1/messages" else "openai"
        refusal, body = self._check(wire, headers, raw)
        request = Request(wire, headers, body, target)
        if path.endswith(("/models", "/count_tokens")):
            await self._answer_probe(request, refusal, writer)
            return True
        if method != "POST" or not path.endswith(("/chat/completions", "/messages")):
            await self._send(writer, self._failed(wire, Fail(404, "not_found_error", message="no such path")))
            return True
        self.requests.append(request)
        refusal = refusal or _refusal(_WIRES[wire].check(headers, body))
        return await self._answer(refusal or self._next(), wire, body, reader, writer)

    async def _answer_probe(self, request: Request, refusal: Fail | None, writer: asyncio.StreamWriter) -> None:
        self.probes.append(request)
        failure = refusal or (self.probe_script.pop(0) if self.probe_script else None)
        if failure:
            await self._send(writer, self._failed(request.wire, failure))
            return
        listed = {"object": "list", "data": [{"id": "m-1"}], "has_more": False}
        counted = {"input_tokens": self.counted_tokens}
        given = counted if request.path.split("?")[0].endswith("/count_tokens") else listed
        await self._send(writer, Response((json.dumps(given).encode(),)))

    def _next(self) -> Step:
        if self.script:
            return self.script.pop(0)
        return self.default or Fail(500, "api_error", message="the script of the fake is used up")

    async def _answer(
        self, step: Step, wire: Wire, body: dict[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        match step:
            case Fail():
                await self._send(writer, self._failed(wire, step))
            case FailMidway():
                half = self._response(wire, step.answer, body).half()
                event = _WIRES[wire].error_event(step.error)
                await self._send(writer, Response((*half.pieces, event), EVENTS))
            case Raw():
                kind = EVENTS if body.get("stream") else JSON
                await self._send(writer, Response((step.body,), step.content_type or kind))
            case Cut(is_tidy=True):
                await self._send(writer, self._response(wire, step.answer, body).half())
            case Cut():
                whole = self._response(wire, step.answer, body)
                await send(writer, whole.head(), whole.payload[: len(whole.payload) // 2])
                return False
            case Drip():
                await _drip(writer, self._response(wire, step.answer, body), step.interval_s)
            case Held():
                return await _hold(step, self._response(wire, step.answer, body), reader, writer)
            case _:
                await self._send(writer, self._response(wire, step, body))
        return True

    def _check(self, wire: Wire, headers: dict[str, str], raw: bytes) -> tuple[Fail | None, dict[str, Any]]:
        """The refusal that the real service would answer with, and the request's body."""
        try:
            body = json.loads(raw or b"{}")
        except ValueError:
            return Fail(400, "invalid_request_error", message="not JSON"), {}
        if self.api_key not in _keys(headers):
            kind = "authentication_error" if wire == "anthropic" else "invalid_request_error"
            return Fail(401, kind, "invalid_api_key", message=f"wrong key: {_keys(headers)}"), body
        return None, body

    def _response(self, wire: Wire, answer: Answer, request: dict[str, Any]) -> Response:
        self._count += 1
        if request.get("stream"):
            return Response(tuple(_WIRES[wire].events(answer, request, self._count)), EVENTS)
        return Response((json.dumps(_WIRES[wire].body(answer, request["model"], self._count)).encode(),))

    @staticmethod
    def _failed(wire: Wire, step: Fail) -> Response:
        return Response((json.dumps(_WIRES[wire].error(step)).encode(),), JSON, step.status, step.headers)

    @staticmethod
    async def _send(writer: asyncio.StreamWriter, response: Response) -> None:
        await send(writer, response.head(), response.payload)


async def _hold(step: Held, whole: Response, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    sent = whole.head() + whole.payload
    half = len(whole.head()) + len(whole.payload) // 2 if step.is_half_sent else 0
    await send(writer, sent[:half])
    step.gate.reached.set()
    released = asyncio.create_task(step.gate.release.wait())
    gone = asyncio.create_task(reader.read(1))  # a waiting client sends nothing: an end here means it left
    try:
        await asyncio.wait({released, gone}, return_when=asyncio.FIRST_COMPLETED)
        if gone.done():
            step.gate.abandoned.set()
            return False
    finally:
        for task in (released, gone):
            task.cancel()
        await asyncio.gather(released, gone, return_exceptions=True)
    await send(writer, sent[half:])
    return True


async def _drip(writer: asyncio.StreamWriter, response: Response, interval_s: float) -> None:
    await send(writer, response.head())
    for index in range(len(response.payload)):
        await send(writer, response.payload[index : index + 1])
        await asyncio.sleep(interval_s)


def _keys(headers: dict[str, str]) -> list[str]:
    bearer = headers.get("authorization", "").removeprefix("Bearer ")
    return [bearer, headers.get("x-api-key", ""), headers.get("api-key", "")]


def _refusal(problem: str) -> Fail | None:
    return Fail(400, "invalid_request_error", message=problem) if problem else None
