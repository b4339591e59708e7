"""`web_search` against a real server on loopback that speaks as serper.dev does."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from agents.tools.errors import ToolFailed, ToolRefused
from agents.tools.web.search import search_row
from schemas.agent import SearchSettings
from tests.contract.tools.test_web_tools import SECRET, names
from tests.harness.toolbox import Box, called, toolbox
from tests.harness.web import Web, answer


@pytest.fixture
async def web() -> AsyncIterator[Web]:
    async with Web() as server:
        yield server


FOUND = {
    "searchParameters": {"q": "x"},
    "answerBox": {"title": "T", "answer": "42", "link": "https://a.example/42"},
    "knowledgeGraph": {"title": "K", "type": "Thing", "description": "D", "attributes": {"a": "b"}},
    "organic": [{"title": f"T{n}", "link": f"https://a.example/{n}", "snippet": "S", "position": n} for n in (1, 2, 3)],
}


def search(web: Web, **settings: Any) -> Box:
    """The tool `web_search` for the server."""
    known = {"base_url": f"http://a.example:{web.port}", "allow_private": [web.place], "results": 2} | settings
    return toolbox([search_row(SearchSettings.model_validate(known), names(["127.0.0.1"]))])


async def test_a_search(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key and the words are sent as serper.dev wants them; the model is told so many results."""
    monkeypatch.setenv("SERPER_KEY", SECRET)
    web.answers["/search"] = answer(200, json.dumps(FOUND))
    said = await called(search(web, api_key="env:SERPER_KEY"), "web_search", query="what")
    assert said == (
        "Answer T\n42\nhttps://a.example/42\n\nAbout K\nThing\nD\n\n"
        "1. T1\nhttps://a.example/1\nS\n\n2. T2\nhttps://a.example/2\nS"
    )
    (asked,) = web.requests
    assert (asked.method, asked.headers["x-api-key"]) == ("POST", SECRET)
    assert json.loads(asked.body) == {"q": "what", "num": 2}


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (answer(403, "{}"), "the key is not valid, or has no credit"),
        (answer(429), "try later"),
        (answer(500, SECRET), "does not work now .500."),
        (answer(200, "no json"), "cannot be read"),
        (answer(200, '{"organic": 5}'), "cannot be read"),
    ],
)
async def test_a_search_that_fails(web: Web, raw: bytes, said: str) -> None:
    """The model is told why, in our words."""
    web.answers["/search"] = raw
    with pytest.raises(ToolFailed, match=said) as failure:
        await called(search(web), "web_search", query="x")
    assert SECRET not in str(failure.value)


async def test_a_search_that_finds_nothing_or_leads_inside(web: Web) -> None:
    """Both are said."""
    web.answers["/search"] = answer(200, "{}")
    assert await called(search(web), "web_search", query="x") == "nothing was found"
    with pytest.raises(ToolRefused, match="inside the network"):
        await called(search(web, allow_private=[]), "web_search", query="x")
    with pytest.raises(ValueError, match="write https://"):
        search(web, base_url="ftp://a.example")
