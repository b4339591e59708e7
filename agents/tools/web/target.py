"""An address as a model writes it, read once, strictly: what is checked is what is asked for."""

from __future__ import annotations

import re
import urllib.parse
from dataclasses import dataclass
from typing import Final

from agents.tools.errors import ToolRefused

_PORTS: Final = {"http": 80, "https": 443}
_HOST: Final = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_STEP: Final = re.compile(r"(?:^|/|%2f)(?:\.|%2e){1,2}(?:/|%2f|$)", re.IGNORECASE)
_SAFE: Final = "/%:=&?~#+!$,;'@()*[]-._"
_LONGEST: Final = 8000


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes. `path` has the query, and is what stands in the request."""

    scheme: str
    host: str
    port: int
    path: str

    @classmethod
    def read(cls, url: str) -> Target:
        """Read an absolute http or https address.

        Raises:
            ToolRefused: it is none, or could be read in more than one way.
        """
        parts = _split(url)
        host = (parts.hostname or "").lower()
        if parts.scheme not in _PORTS or not _HOST.fullmatch(host) or len(host) > 253:
            raise ToolRefused(f"{url[:80]!r} is no address; write https://HOST/PATH")
        if parts.username is not None or parts.password is not None:
            raise ToolRefused("no names and passwords in an address")
        if _STEP.search(parts.path):
            raise ToolRefused("no '.' and '..' in a path; write where it leads")
        query = f"?{_spelt(parts.query)}" if parts.query else ""
        return cls(parts.scheme, host, parts.port or _PORTS[parts.scheme], _spelt(parts.path or "/") + query)

    @property
    def place(self) -> str:
        """Host and port."""
        return f"{self.host}:{self.port}"

    @property
    def authority(self) -> str:
        """As the header Host has it."""
        return self.host if self.port == _PORTS[self.scheme] else self.place

    @property
    def url(self) -> str:
        """The whole address in its one spelling."""
        return f"{self.scheme}://{self.authority}{self.path}"

    def joined(self, location: str) -> Target:
        """Where a redirect from here leads; raises as `read`."""
        return Target.read(urllib.parse.urljoin(self.url, location))


def _spelt(text: str) -> str:
    """The same in one spelling: what needs no percent sign has none. Source: RFC 3986 §6.2.2."""

    def plain(match: re.Match[str]) -> str:
        char = chr(int(match[1], 16))
        return char if char.isascii() and (char.isalnum() or char in "-._~") else match[0].upper()

    return re.sub(r"%([0-9A-Fa-f]{2})", plain, urllib.parse.quote(text, safe=_SAFE))


def _split(url: str) -> urllib.parse.SplitResult:
    # urlsplit takes out line ends and tabs without a word, and others take a backslash for a slash
    if len(url) > _LONGEST or not url.isprintable() or any(char in url for char in " \\"):
        raise ToolRefused("an address has printable characters without spaces and backslashes, at most 8000")
    try:
        parts = urllib.parse.urlsplit(url)
        is_port_zero = parts.port == 0
    except ValueError:
        raise ToolRefused(f"{url[:80]!r} is no address; write https://HOST/PATH") from None
    if is_port_zero:
        raise ToolRefused("there is no port 0")
    return parts
