"""A model server for tests: real HTTP/1.1 on loopback, the two wire formats, and scripted answers.

`POST /v1/chat/completions` and `POST /v1/messages` are checked as the real services check them (key,
required fields, every tool call followed by its result) and answered with the next step of the script;
what is wrong gets the service's own form of error. Streaming is not spoken.

    async with FakeLlm() as llm:
        llm.script += [CallTool("add", {"a": 1}), Say("done")]
        … base_url=llm.openai_url or llm.anthropic_url, api_key=llm.api_key …
        assert llm.requests[0].body["model"] == "m-1"

A `Gate` holds an answer back until the test lets it go:

    gate = Gate(); llm.script.append(Held(Say("late"), gate))
    task = asyncio.create_task(ask()); await gate.reached.wait(); …; gate.release.set()
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

Wire = Literal["openai", "anthropic"]
PATHS: dict[str, Wire] = {"/v1/chat/completions": "openai", "/v1/messages": "anthropic"}
PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
"""To take out of the environment of a client that is to find the fake."""
_TIMEOUT_S = 30


@dataclass(frozen=True)
class Say:
    """An answer of text. `stop` is the wire's own word (`length`, `max_tokens`, `refusal`, …), if not the usual."""

    text: str
    stop: str = ""
    input_tokens: int = 11
    output_tokens: int = 7


@dataclass(frozen=True)
class CallTool:
    """An answer that asks for tools: one, and `more` of them. A str as input stands as it is (OpenAI only)."""

    name: str
    input: dict[str, Any] | str = field(default_factory=dict)
    more: tuple[tuple[str, dict[str, Any] | str], ...] = ()
    text: str = ""
    input_tokens: int = 11
    output_tokens: int = 7


@dataclass(frozen=True)
class Fail:
    """An error answer. `code` and `kind` are the wire's words; `message` may hold what must not be repeated."""

    status: int
    kind: str = ""
    code: str | None = None
    message: str = "the fake was told to fail"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Raw:
    """Any bytes as the body of a 200 answer."""

    body: bytes


@dataclass(frozen=True)
class Cut:
    """Half of an answer, then the connection is closed."""

    answer: Say | CallTool


@dataclass(eq=False)
class Gate:
    """`reached` is set when the request is there; the answer goes out when the test sets `release`.

    `abandoned` is set when the client goes away before that.
    """

    reached: asyncio.Event = field(default_factory=asyncio.Event)
    release: asyncio.Event = field(default_factory=asyncio.Event)
    abandoned: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True)
class Held:
    """An answer that waits at the gate: wholly, or (`is_half_sent`) after its head and half of its body."""

    answer: Say | CallTool
    gate: Gate
    is_half_sent: bool = False


@dataclass(frozen=True)
class Drip:
    """An answer whose body comes a byte at a time: no single read is slow, the whole is."""

    answer: Say | CallTool
    interval_s: float = 0.05


Step = Say | CallTool | Fail | Raw | Cut | Held | Drip


@dataclass(frozen=True)
class Request:
    """What a client sent; header names in lower case."""

    wire: Wire
    headers: dict[str, str]
    body: dict[str, Any]


class FakeLlm:
    """The server; an async context manager. Steps are used up in order; then `default`, else an error 500."""

    def __init__(self, *, api_key: str = "test-key", default: Step | None = None) -> None:
        self.api_key = api_key
        self.default = default
        self.script: list[Step] = []
        self.requests: list[Request] = []
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
            method, path, headers, raw = await _read_request(reader)
        wire = PATHS.get(path.split("?")[0])
        if wire is None or method != "POST":
            await _send(writer, 404, _error("openai", Fail(404, "not_found_error", message="no such path")), {})
            return True
        refusal, body = self._check(wire, headers, raw)
        self.requests.append(Request(wire, headers, body))
        step = refusal or self._next()
        return await self._answer(step, wire, body, reader, writer)

    def _next(self) -> Step:
        if self.script:
            return self.script.pop(0)
        return self.default or Fail(500, "api_error", message="the script of the fake is used up")

    async def _answer(
        self, step: Step, wire: Wire, body: dict[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        match step:
            case Fail():
                await _send(writer, step.status, _error(wire, step), step.headers)
            case Raw():
                await _send(writer, 200, step.body, {})
            case Cut():
                payload = self._body(wire, step.answer, body)
                await _send(writer, 200, payload[: len(payload) // 2], {}, promised=len(payload))
                return False
            case Drip():
                await _drip(writer, self._body(wire, step.answer, body), step.interval_s)
            case Held():
                return await self._hold(step, self._body(wire, step.answer, body), reader, writer)
            case _:
                await _send(writer, 200, self._body(wire, step, body), {})
        return True

    async def _hold(
        self, step: Held, payload: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        half = len(payload) // 2 if step.is_half_sent else 0
        if half:
            await _send(writer, 200, payload[:half], {}, promised=len(payload))
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
        if half:
            writer.write(payload[half:])
            await writer.drain()
        else:
            await _send(writer, 200, payload, {})
        return True

    def _check(self, wire: Wire, headers: dict[str, str], raw: bytes) -> tuple[Fail | None, dict[str, Any]]:
        """The refusal that the real service would answer with, and the request's body."""
        try:
            body = json.loads(raw)
        except ValueError:
            return Fail(400, "invalid_request_error", message="not JSON"), {}
        if self.api_key not in _keys(wire, headers):
            kind = "authentication_error" if wire == "anthropic" else "invalid_request_error"
            return Fail(401, kind, "invalid_api_key", message=f"wrong key: {_keys(wire, headers)}"), body
        problem = _CHECKS[wire](headers, body)
        return (Fail(400, "invalid_request_error", message=problem) if problem else None), body

    def _body(self, wire: Wire, answer: Say | CallTool, request: dict[str, Any]) -> bytes:
        self._count += 1
        return json.dumps(_BODIES[wire](answer, request["model"], self._count)).encode()


async def _read_request(reader: asyncio.StreamReader) -> tuple[str, str, dict[str, str], bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip("\r\n").split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return method, path, headers, await reader.readexactly(int(headers.get("content-length", "0")))


async def _send(
    writer: asyncio.StreamWriter, status: int, body: bytes, headers: Mapping[str, str], *, promised: int | None = None
) -> None:
    lines = [
        f"HTTP/1.1 {status} Fake",
        "content-type: application/json",
        f"content-length: {len(body) if promised is None else promised}",
        "x-request-id: req-fake-1",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    writer.write("\r\n".join([*lines, "", ""]).encode() + body)
    await writer.drain()


async def _drip(writer: asyncio.StreamWriter, payload: bytes, interval_s: float) -> None:
    await _send(writer, 200, b"", {}, promised=len(payload))
    for index in range(len(payload)):
        writer.write(payload[index : index + 1])
        await writer.drain()
        await asyncio.sleep(interval_s)


def _keys(wire: Wire, headers: dict[str, str]) -> list[str]:
    bearer = headers.get("authorization", "").removeprefix("Bearer ")
    return [bearer, headers.get("x-api-key", "")] if wire == "anthropic" else [bearer]


def _error(wire: Wire, step: Fail) -> bytes:
    if wire == "openai":
        return json.dumps(
            {"error": {"message": step.message, "type": step.kind, "param": None, "code": step.code}}
        ).encode()
    error: dict[str, Any] = {"type": step.kind, "message": step.message}
    if step.code:
        error["details"] = {"error_code": step.code}
    return json.dumps({"type": "error", "error": error, "request_id": "req-fake-1"}).encode()


def _check_openai(_headers: dict[str, str], body: dict[str, Any]) -> str:
    if not body.get("model") or not body.get("messages"):
        return "model and messages are required"
    if body.get("stream"):
        return "the fake does not stream"
    open_calls: set[str] = set()
    for message in body["messages"]:
        if message["role"] == "tool":
            if message.get("tool_call_id") not in open_calls:
                return "a message of role tool must follow the tool_calls it answers"
            open_calls.discard(message["tool_call_id"])
            continue
        if open_calls:
            return f"tool_call_ids did not have response messages: {sorted(open_calls)}"
        if message["role"] not in {"system", "developer", "user", "assistant"}:
            return f"unknown role {message['role']}"
        open_calls = {call["id"] for call in message.get("tool_calls") or ()}
    return "the last tool_calls have no response messages" if open_calls else ""


def _check_anthropic(headers: dict[str, str], body: dict[str, Any]) -> str:
    missing = [name for name in ("model", "max_tokens", "messages") if not body.get(name)]
    if missing or "anthropic-version" not in headers:
        return f"required: {missing or 'the header anthropic-version'}"
    if body.get("stream"):
        return "the fake does not stream"
    open_calls: set[str] = set()
    for message in body["messages"]:
        if message["role"] not in {"user", "assistant"} or not message["content"]:
            return "messages: a role of user or assistant, and content, are required"
        blocks = [] if isinstance(message["content"], str) else message["content"]
        if any(block["type"] == "text" and not block["text"] for block in blocks):
            return "messages: text content blocks must be non-empty"
        results = {block["tool_use_id"] for block in blocks if block["type"] == "tool_result"}
        if results != open_calls:
            return "tool_use ids and the tool_result blocks right after them do not match"
        open_calls = {block["id"] for block in blocks if block["type"] == "tool_use"}
    return "the last tool_use blocks have no tool_result" if open_calls else ""


def _openai_body(answer: Say | CallTool, model: str, number: int) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": answer.text or None, "refusal": None}
    stop = "stop"
    if isinstance(answer, CallTool):
        stop = "tool_calls"
        message["tool_calls"] = [
            {
                "id": f"call_{number}_{index}",
                "type": "function",
                "function": {"name": name, "arguments": given if isinstance(given, str) else json.dumps(given)},
            }
            for index, (name, given) in enumerate(_calls(answer))
        ]
    total = answer.input_tokens + answer.output_tokens
    counts = {"prompt_tokens": answer.input_tokens, "completion_tokens": answer.output_tokens, "total_tokens": total}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": getattr(answer, "stop", "") or stop}
    head = {"id": f"chatcmpl-{number}", "object": "chat.completion", "created": 1, "model": f"{model}-exact"}
    return {**head, "choices": [choice], "usage": counts}


def _anthropic_body(answer: Say | CallTool, model: str, number: int) -> dict[str, Any]:
    content: list[dict[str, Any]] = [{"type": "text", "text": answer.text}] if answer.text else []
    stop = "end_turn"
    if isinstance(answer, CallTool):
        stop = "tool_use"
        content += [
            {"type": "tool_use", "id": f"toolu_{number}_{index}", "name": name, "input": given}
            for index, (name, given) in enumerate(_calls(answer))
        ]
    cached = {"cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
    usage = {"input_tokens": answer.input_tokens, "output_tokens": answer.output_tokens, **cached}
    head = {"id": f"msg_{number}", "type": "message", "role": "assistant", "model": f"{model}-exact"}
    stopped = {"stop_reason": getattr(answer, "stop", "") or stop, "stop_sequence": None}
    return {**head, "content": content, **stopped, "usage": usage}


def _calls(answer: CallTool) -> list[tuple[str, dict[str, Any] | str]]:
    return [(answer.name, answer.input), *answer.more]


_CHECKS: dict[Wire, Callable[[dict[str, str], dict[str, Any]], str]] = {
    "openai": _check_openai,
    "anthropic": _check_anthropic,
}
_BODIES: dict[Wire, Callable[[Say | CallTool, str, int], dict[str, Any]]] = {
    "openai": _openai_body,
    "anthropic": _anthropic_body,
}
