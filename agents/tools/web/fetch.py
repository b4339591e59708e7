"""A request with its redirects: each step is checked as the first one is, and gets its own connection and headers.

A secret belongs to one host: where a redirect leads to another, it is not sent there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from agents import llm
from agents.tools.errors import ToolFailed, ToolRefused, ToolUnusable
from agents.tools.web.guard import Guard
from agents.tools.web.target import Target
from agents.tools.web.wire import Request, Response, exchange
from schemas.agent import HttpSettings
from schemas.agent.tool_settings import HEADER_REFERENCE, host_matches

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_AS_GET: Final = frozenset({301, 302, 303})

HeadersOf = Callable[[Target], Mapping[str, str]]
"""What is sent to this host and to no other."""


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Fetches from the hosts of `settings`. `require` is asked about every address besides, that of redirects too."""

    settings: HttpSettings
    guard: Guard
    headers_of: HeadersOf
    require: Callable[[str], None]

    async def fetch(self, url: str, request: Request) -> tuple[Target, Response]:
        """The answer, and where it came from.

        Raises:
            ToolRefused: a step may not be taken. ToolFailed: it could not be.
        """
        target = Target.read(url)
        for _ in range(self.settings.redirects + 1):
            self._require_listed(target)
            own = replace(request, headers={**request.headers, **self.headers_of(target)})
            response = await exchange(self.guard, target, own, self.settings.max_bytes)
            location = response.headers.get("location", "") if response.status in _REDIRECTS else ""
            if not location:
                return target, response
            following = target.joined(location)
            self._require_same(target, following)
            target, request = following, _after(response.status, request)
        raise ToolFailed(f"{target.host} redirects more than {self.settings.redirects} times")

    def _require_listed(self, target: Target) -> None:
        if not any(host_matches(pattern, target.place) for pattern in self.settings.hosts):
            raise ToolRefused(f"{target.place} may not be reached; these may: {', '.join(self.settings.hosts)}")
        self.require(target.url)

    def _require_same(self, before: Target, after: Target) -> None:
        if before.scheme == "https" and after.scheme != "https":
            raise ToolRefused(f"{before.host} redirects to an address that can be read on the way")
        if self.settings.redirects_to == "same_host" and before.host != after.host:
            raise ToolRefused(f"{before.host} redirects to {after.host}; such redirects are not followed")


def _after(status: int, request: Request) -> Request:
    """What is sent where a redirect leads: as every browser does it, and without the body where that is left out."""
    if status in _AS_GET and request.method != "HEAD":
        headers = {name: text for name, text in request.headers.items() if name.lower() != "content-type"}
        return Request("GET", headers)
    return request


def headers_by_host(settings: HttpSettings) -> HeadersOf:
    """The headers that the file binds to hosts, their secrets resolved now.

    Raises:
        ToolUnusable: a secret is not to be had.
    """
    known = {
        host: {name: _value(host, name, text) for name, text in headers.items()}
        for host, headers in settings.headers.items()
    }

    def of(target: Target) -> Mapping[str, str]:
        found: dict[str, str] = {}
        for host, headers in known.items():
            if host_matches(host, target.place):
                found |= headers
        return found

    return of


def _value(host: str, name: str, text: str) -> str:
    match = HEADER_REFERENCE.fullmatch(text)
    if match is None:
        return text
    try:
        secret = llm.resolve(match["reference"]).reveal()
    except llm.PoolUnusable as error:
        raise ToolUnusable(f"tools.http_request.headers.{host}.{name}: {error}") from None
    return f"{match['scheme']} {secret}" if match["scheme"] else secret
