"""From a name to the address that is connected to: resolved once, checked, and used as it was checked.

The name is not resolved again for the connection, so a server of names that answers otherwise the second time (DNS
rebinding) changes nothing. A name of which any address is refused is refused whole.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from agents.tools.errors import ToolAway, ToolFailed, ToolRefused
from agents.tools.web.addresses import Address, is_public, may_reach
from agents.tools.web.target import Target

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""All addresses of a name, in the order in which they should be tried; raises OSError."""
_NO_SUCH_NAME = frozenset({socket.EAI_NONAME, socket.EAI_NODATA})
"""That a name is none is an answer; others say that nobody could be asked."""
_MOST_TRIED, _CONNECT_S = 4, 5.0
"""Addresses of one name, and how long each but the last has to take a connection."""
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def resolved(host: str, port: int) -> list[str]:
    """As the system resolves it."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


@dataclass(frozen=True, slots=True)
class Guard:
    """Opens connections. `allowed` are addresses with ports that may be reached though they are not public.

    `may_be_plain`: http:// to public addresses is no problem.
    """

    allowed: tuple[str, ...] = ()
    may_be_plain: bool = False
    resolve: Resolve = resolved

    @asynccontextmanager
    async def connected(self, target: Target) -> AsyncIterator[Streams]:
        """A connection to the target's host, over TLS where its scheme says so; closed on leaving.

        Raises:
            ToolRefused: an address of it may not be reached. ToolFailed: there is no such name.
            ToolAway: it is not there, or is not who it should be.
        """
        reader, writer = await _opened(target, await self.addresses_of(target))
        try:
            yield reader, writer
        finally:
            writer.transport.abort()  # nothing is kept, and nobody is waited for

    async def addresses_of(self, target: Target) -> tuple[Address, ...]:
        """The addresses to connect to, all of them checked, in the order in which they are tried; raises as `connected`."""
        try:
            found = [ipaddress.ip_address(text) for text in await self.resolve(target.host, target.port)]
        except (OSError, UnicodeError, ValueError) as error:
            if isinstance(error, OSError) and error.errno not in _NO_SUCH_NAME:
                raise ToolAway(f"nobody could be asked for the address of {target.host}; try again later") from None
            found = []
        if not found:
            raise ToolFailed(f"{target.host} has no address")
        for address in found:
            if not may_reach(address, target.port, self.allowed):
                raise ToolRefused(f"{target.host} is at an address inside the network, which may not be reached")
        if target.scheme == "http" and not self.may_be_plain and any(map(is_public, found)):
            raise ToolRefused("http:// can be read on the way; use https://")
        return tuple(found)


async def _opened(target: Target, addresses: Sequence[Address]) -> Streams:
    """A connection to the first address that takes one: a host may have some that this machine has no way to."""
    context = ssl.create_default_context() if target.scheme == "https" else None
    name = target.host if context else None
    problem = "no connection"
    for number, address in enumerate(addresses[:_MOST_TRIED], 1):
        is_last = number == min(len(addresses), _MOST_TRIED)
        try:
            async with asyncio.timeout(None if is_last else _CONNECT_S):
                return await asyncio.open_connection(str(address), target.port, ssl=context, server_hostname=name)
        except ssl.SSLError as error:
            raise ToolAway(f"{target.host} cannot be trusted: {error.reason or 'TLS failed'}") from None
        except OSError as error:
            problem = error.strerror or problem
    raise ToolAway(f"{target.host} cannot be reached: {problem}")
