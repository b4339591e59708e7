"""Runs as a process of its own: tries so many connections at once as some user, and prints how many are let in.

    python attempts.py HOST PORT COUNT USER LEAST [SOURCE]

Waits, for seconds at most, until `LEAST` are. Standard library only.
"""

from __future__ import annotations

import os
import select
import socket
import sys
import time

_PATIENCE_S = 10.0


def tried(host: str, port: int, count: int, source: str) -> list[socket.socket]:
    """The sockets, each on its way or connected."""
    sockets = [socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) for _ in range(count)]
    for one in sockets:
        one.setblocking(False)
        if source:
            one.bind((source, 0))
        one.connect_ex((host, port))
    return sockets


def let_in(sockets: list[socket.socket], least: int) -> int:
    """How many of them are connected."""
    poll, end = select.poll(), time.monotonic() + _PATIENCE_S
    waiting = {one.fileno(): one for one in sockets}
    for number in waiting:
        poll.register(number, select.POLLOUT)
    while True:
        for number, _ in poll.poll(0):
            poll.unregister(number)
            del waiting[number]
        connected = len(sockets) - len(waiting)
        if connected >= least or time.monotonic() > end:
            return connected
        poll.poll(100)


if __name__ == "__main__":
    host, port, count, user, least, *source = sys.argv[1:]
    os.setuid(int(user))
    print(let_in(tried(host, int(port), int(count), "".join(source)), int(least)))
