"""`http_request`: a request to a listed host, and its answer as text."""

from __future__ import annotations

import re
from typing import Any, Final

from pydantic import Field, field_validator

from agents import llm
from agents.context import Context
from agents.tools.errors import ToolAway, ToolRefused
from agents.tools.policy import require_argument
from agents.tools.row import Row
from agents.tools.web.fetch import Fetcher, headers_by_host
from agents.tools.web.guard import Guard, Resolve, resolved
from agents.tools.web.target import Target
from agents.tools.web.wire import FIRST_OUTAGE, Request, Response
from schemas.agent import HttpSettings
from schemas.agent.tool_settings import Method
from schemas.documents import Document
from schemas.redaction import REGISTERED

_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_OURS: Final = frozenset({
    "host", "connection", "content-length", "transfer-encoding", "te", "trailer", "upgrade", "expect", "keep-alive",
    "accept-encoding", "authorization", "cookie", "proxy-authorization", "proxy-connection", "forwarded",
})  # fmt: skip
"""Headers that a model does not set: they decide where a request goes, where it ends, or who sends it."""
_TOLD: Final = ("content-type", "location", "retry-after", "link", "etag", "last-modified")
_CHARSET: Final = re.compile(r"charset=\"?([A-Za-z0-9_.:-]{1,40})")
_SAFE_METHODS: Final = frozenset({"GET", "HEAD"})


class HttpRequest(Document):
    """What to ask for."""

    url: str = Field(min_length=1, max_length=8000, description="https://HOST/PATH?QUERY")
    method: Method = Field("GET", description="the method")
    headers: dict[str, str] = Field({}, max_length=30, description="headers, such as Accept")
    body: str = Field("", description="what is sent with POST, PUT and PATCH")
    content_type: str = Field("application/json", max_length=200, description="the type of the body")

    @field_validator("headers")
    @classmethod
    def _are_headers(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            if not _NAME.fullmatch(name) or not _is_line(text):
                raise ValueError(f"{name!r} is no header of one line")
            if name.lower() in _OURS or name.lower().startswith(("proxy-", "x-forwarded-")):
                raise ValueError(f"{name} is not yours to set")
        return value

    @field_validator("content_type")
    @classmethod
    def _is_one_line(cls, value: str) -> str:
        if not _is_line(value):
            raise ValueError("is no type")
        return value


def http_row(settings: HttpSettings, resolve: Resolve = resolved) -> Row:
    """The tool `http_request`.

    Raises:
        ToolUnusable: a secret that its headers need is not to be had.
    """

    def require(url: str) -> None:
        require_argument("http_request", "url", settings.arguments, url)

    guard = Guard(settings.allow_private, settings.plain_http == "allow", resolve)
    fetcher = Fetcher(settings, guard, headers_by_host(settings), require)

    async def run(arguments: Any, _: Context) -> str:
        request = _request(settings, arguments)
        target, response = await fetcher.fetch(arguments.url, request)
        text = said(target.url, response)
        if response.status >= FIRST_OUTAGE:
            raise ToolAway(f"{target.host} does not work now ({response.status}). It says:", found=text)
        return text

    words = (
        f"Send an HTTP request to one of these hosts: {', '.join(settings.hosts)}. "
        f"Methods: {', '.join(settings.methods)}."
    )
    tool = llm.Tool(name="http_request", description=words, input=HttpRequest)
    return Row(tool, run, has_effects=not _SAFE_METHODS.issuperset(settings.methods), place_of=_place)


def _place(arguments: HttpRequest) -> str:
    try:
        return Target.read(arguments.url).place
    except ToolRefused:
        return ""


def _request(settings: HttpSettings, wanted: HttpRequest) -> Request:
    if wanted.method not in settings.methods:
        raise ToolRefused(f"{wanted.method} may not be used; these may: {', '.join(settings.methods)}")
    body = wanted.body.encode(errors="replace")
    if body and wanted.method in _SAFE_METHODS:
        raise ToolRefused(f"{wanted.method} takes no body")
    if len(body) > settings.max_request_bytes:
        raise ToolRefused(f"a body of {len(body)} bytes is longer than {settings.max_request_bytes}")
    typed = {"Content-Type": wanted.content_type} if body else {}
    return Request(wanted.method, {**wanted.headers, **typed}, body)


def said(url: str, response: Response) -> str:
    """The answer for a model: status, a few headers, and the text; without any secret, should it repeat one."""
    lines = [f"{response.status} {url}"]
    lines += [f"{name}: {response.headers[name]}" for name in _TOLD if name in response.headers]
    body = text_of(response)
    if response.is_cut:
        body += f"\n[cut: there were more than {len(response.body)} bytes]"
    return REGISTERED.redacted(["\n".join((*lines, "", body))])[0]


def text_of(response: Response) -> str:
    """The body as text; of what is none, its size."""
    match = _CHARSET.search(response.headers.get("content-type", ""))
    if b"\0" in response.body[:1024] or response.headers.get("content-encoding", "identity") != "identity":
        return f"[{len(response.body)} bytes that are no text]"
    try:
        return response.body.decode(match[1] if match else "utf-8", errors="replace")
    except LookupError:
        return response.body.decode(errors="replace")


def _is_line(text: str) -> bool:
    return text.isprintable() and text.isascii() and len(text) <= 4000
