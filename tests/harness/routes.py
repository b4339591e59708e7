"""The network between the servers of a cluster, and nothing else: a proxy for each way in which one dials another.

While it fails, the servers' clients notice nothing of it: their connections stay as they are.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from bus.provision.members import Server
from tests.harness.proxy import Proxy


class Routes:
    """A proxy for each ordered pair of servers, which are counted from 0."""

    def __init__(self, proxies: dict[tuple[int, int], Proxy], members: Sequence[Server]) -> None:
        self._proxies = proxies
        self._members = members

    def redirected(self, text: str, number: int) -> str:
        """The configuration of one server, whose routes lead through its proxies."""
        for (dials, dialed), proxy in self._proxies.items():
            if dials == number:
                text = text.replace(_address(self._members[dialed]), f"@127.0.0.1:{proxy.port}")
        return text

    def cut_off(self, number: int, *, is_stalled: bool) -> None:
        """Nothing goes between this server and the others: it waits on its way, or every route is closed."""
        for pair, proxy in self._proxies.items():
            if number in pair:
                (proxy.stall if is_stalled else proxy.cut)()

    def heal(self) -> None:
        """All of them are one cluster again."""
        for proxy in self._proxies.values():
            proxy.heal()


def _address(member: Server) -> str:
    return f"@{member.host}:{member.route_port}"


@asynccontextmanager
async def routes_of(members: Sequence[Server]) -> AsyncIterator[Routes]:
    """Proxies that carry everything; no server knows of them yet."""
    async with AsyncExitStack() as stack:
        proxies = {
            (dials, dialed): await stack.enter_async_context(Proxy(member.host, member.route_port))
            for dialed, member in enumerate(members)
            for dials in range(len(members))
            if dials != dialed
        }
        yield Routes(proxies, members)
