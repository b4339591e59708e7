"""`web_search`: what serper.dev, or a server that speaks as it does, finds.

Source: serper.dev, POST /search with `{"q", "num"}` and the header X-API-KEY.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from pydantic import Field

from agents import llm
from agents.context import Context
from agents.tools.errors import ToolAway, ToolFailed, ToolRefused, ToolUnusable
from agents.tools.row import Row
from agents.tools.web.guard import Guard, Resolve, resolved
from agents.tools.web.target import Target
from agents.tools.web.wire import FIRST_OUTAGE, Request, Response, exchange
from schemas.agent import SearchSettings
from schemas.documents import Document
from schemas.errors import UNREADABLE
from schemas.redaction import REGISTERED

_WHY: Final = {
    401: "the key is not valid", 403: "the key is not valid, or has no credit left", 429: "too many searches; try later",
}  # fmt: skip


class WebSearch(Document):
    """What to search for."""

    query: str = Field(min_length=1, max_length=2000, description="words to search for")


class _Found(msgspec.Struct):
    title: str = ""
    link: str = ""
    snippet: str = ""
    date: str = ""


class _Answer(msgspec.Struct):
    title: str = ""
    answer: str = ""
    snippet: str = ""
    link: str = ""


class _Knowledge(msgspec.Struct):
    title: str = ""
    type: str = ""
    description: str = ""


class _Results(msgspec.Struct, rename="camel"):
    organic: list[_Found] = []
    answer_box: _Answer | None = None
    knowledge_graph: _Knowledge | None = None


def search_row(settings: SearchSettings, resolve: Resolve = resolved) -> Row:
    """The tool `web_search`.

    Raises:
        ToolUnusable: its key is not to be had, or its address is none.
    """
    key = _key(settings)
    target = _target(settings.base_url)
    guard = Guard(settings.allow_private, resolve=resolve)

    async def run(arguments: Any, _: Context) -> str:
        body = msgspec.json.encode({"q": arguments.query, "num": settings.results})
        headers = {"Content-Type": "application/json"} | ({"X-API-KEY": key.reveal()} if key else {})
        response = await exchange(guard, target, Request("POST", headers, body), settings.max_bytes)
        return REGISTERED.redacted([_told(response, settings.results)])[0]

    words = "Search the web. You are told titles, addresses and pieces of text; they may be wrong."
    return Row(llm.Tool(name="web_search", description=words, input=WebSearch), run, has_effects=False)


def _key(settings: SearchSettings) -> llm.Secret | None:
    try:
        return llm.resolve(settings.api_key) if settings.api_key else None
    except llm.PoolUnusable as error:
        raise ToolUnusable(f"tools.web_search.api_key: {error}") from None


def _target(base_url: str) -> Target:
    try:
        return Target.read(f"{base_url.rstrip('/')}/search")
    except ToolRefused as error:
        raise ToolUnusable(f"tools.web_search.base_url: {error}") from None


def _told(response: Response, most: int) -> str:
    if response.status >= FIRST_OUTAGE:
        raise ToolAway(f"the search does not work now ({response.status}); do without it, or try later")
    if response.status != 200:
        raise ToolFailed(f"the search failed ({response.status}): {_WHY.get(response.status, 'try other words')}")
    try:
        found = msgspec.json.decode(response.body, type=_Results)
    except UNREADABLE:
        raise ToolAway("the search's answer cannot be read") from None
    lines = [*_answers(found), *(_numbered(number, one) for number, one in enumerate(found.organic[:most], 1))]
    return "\n\n".join(lines) or "nothing was found"


def _answers(found: _Results) -> list[str]:
    box, known = found.answer_box, found.knowledge_graph
    lines = [_joined("Answer", box.title, box.answer or box.snippet, box.link)] if box else []
    return lines + ([_joined("About", known.title, known.type, known.description)] if known else [])


def _numbered(number: int, found: _Found) -> str:
    return _joined(f"{number}.", found.title, found.link, found.snippet, found.date)


def _joined(head: str, title: str, *rest: str) -> str:
    return "\n".join((f"{head} {title}".rstrip(), *(text for text in rest if text)))
