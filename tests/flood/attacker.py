"""The attacker, a process of its own: so many logins that must fail, evenly over so many seconds, on loopback.

    python -m tests.flood.attacker ORDER

It is written to cost little: one loop over raw sockets, lines made beforehand. `ORDER` is an `Order` as JSON. Prints one
line of JSON: what became of the logins, and the processor time that this process took.
"""

from __future__ import annotations

import json
import os
import resource
import selectors
import socket
import ssl
import struct
import sys
import time
from collections import Counter, deque
from dataclasses import dataclass

_AT_ONCE = 256
_OWN_FILES = 64
_CONNECT_S = 2.0
"""How long an attempt is waited for: one that the kernel drops is sent again after a second, and given up then."""
_STRANGER = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4"
_SIGNATURE = "A" * 86
_PATIENCE_S = 45.0
_HELLO = '{{"verbose":false,"pedantic":false,"lang":"x","version":"1","protocol":1{more}}}'


@dataclass(frozen=True, slots=True)
class Order:
    """What to do. `key` is a public key of the fleet, for logins with a bad signature.

    `silent` further sockets are held that say nothing, and opened again when the server closes them. `is_elsewhere`: it
    stands for a machine of its own, so it takes what processor time the others leave. `user`: as whom, 0 for who runs it.
    """

    port: int
    logins: int
    seconds: float
    silent: int
    key: str
    is_tls: bool = False
    is_elsewhere: bool = False
    user: int = 0

    @property
    def at_once(self) -> int:
        """How many may be under way: those that the server looks at, and those that wait to be let through."""
        room = resource.getrlimit(resource.RLIMIT_NOFILE)[1] - self.silent - _OWN_FILES
        return min(room, _AT_ONCE + int(self.logins / self.seconds * _CONNECT_S))


def _login(more: str) -> bytes:
    return f"CONNECT {_HELLO.format(more=more)}\r\nPING\r\n".encode()


def _handshake() -> bytes:
    """The first words of a client that speaks TLS."""
    sent = ssl.MemoryBIO()
    with_nobody = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), sent, server_hostname="localhost")
    try:
        with_nobody.do_handshake()
    except ssl.SSLWantReadError:
        return sent.read()
    raise AssertionError("nobody can have answered")


def lines(key: str, *, is_tls: bool) -> tuple[bytes, ...]:
    """What is said in turn: nothing of it can be let in."""
    if is_tls:
        return (_handshake(),)
    return (
        _login(f',"nkey":"{_STRANGER}","sig":"{_SIGNATURE}"'),
        _login(f',"nkey":"{key}","sig":"{_SIGNATURE}"'),
        _login(""),
        _login(f',"nkey":"{key}"'),
        _login(',"user":"ops","pass":"ops"'),
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    )


@dataclass(slots=True)
class _One:
    """A socket of the flood. It speaks when the server has greeted it, or at once; a silent one never does."""

    socket: socket.socket
    line: bytes
    waits: bool
    begun_s: float
    heard: bytes = b""


class Flood:
    """Opens, speaks, counts."""

    def __init__(self, port: int, said: tuple[bytes, ...], *, is_tls: bool) -> None:
        self._port = port
        self._said = said
        self._waits = not is_tls
        self._selector = selectors.EpollSelector()
        self._connecting: deque[_One] = deque()
        self.open = 0
        self.ends: Counter[str] = Counter()

    def begin(self, number: int, *, is_silent: bool = False) -> None:
        """One more socket."""
        one = socket.socket()
        one.setblocking(False)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        one.connect_ex(("127.0.0.1", self._port))
        line = b"" if is_silent else self._said[number % len(self._said)]
        events = selectors.EVENT_READ if self._waits or is_silent else selectors.EVENT_WRITE
        begun = _One(one, line, self._waits, time.monotonic())
        self._selector.register(one, events, begun)
        self._connecting.append(begun)
        self.open += not is_silent

    def turn(self, for_s: float) -> int:
        """Do what can be done; returns how many silent sockets are closed."""
        closed = 0
        for key, events in self._selector.select(for_s):
            one: _One = key.data
            if events & selectors.EVENT_WRITE:
                self._speak(one)
            else:
                closed += self._hear(one)
        return closed + self._give_up()

    def _give_up(self) -> int:
        """End those that are not connected by now: they were not let through."""
        closed, late_s = 0, time.monotonic() - _CONNECT_S
        while self._connecting and self._connecting[0].begun_s < late_s:
            one = self._connecting.popleft()
            if one.socket.fileno() >= 0 and not _is_connected(one.socket):
                closed += self._end(one, "not let through")
        return closed

    def _speak(self, one: _One) -> None:
        try:
            one.socket.send(one.line)
            self._selector.modify(one.socket, selectors.EVENT_READ, one)
        except OSError:
            self._end(one, "closed")

    def _hear(self, one: _One) -> int:
        try:
            heard = one.socket.recv(4096)
        except OSError:
            heard = b""
        one.heard = (one.heard + heard)[-4096:]
        if not one.line:
            return 0 if heard else self._end(one, "silent")
        if not heard:
            self._end(one, "closed")
        elif end := next((end for words, end in _ENDS.items() if words in one.heard), ""):
            if end == "LET IN":
                print(one.line, one.heard, file=sys.stderr)
            self._end(one, end)
        elif not self._waits:
            self._end(one, "handshakes not gone on with")
        elif one.heard.startswith(b"INFO ") and one.heard.endswith(b"\r\n") and one.waits:
            one.waits = False
            self._speak(one)
        return 0

    def _end(self, one: _One, how: str) -> int:
        self._selector.unregister(one.socket)
        one.socket.close()
        self.ends[how if one.line else "silent"] += 1
        self.open -= bool(one.line)
        return int(not one.line)


_ENDS = {
    b"Authorization Violation": "refused",
    b"Authentication Timeout": "refused",
    b"Parser Error": "refused",
    b"maximum connections": "turned away",
    b"\r\nPONG\r\n": "LET IN",
}
"""Whole lines: the nonce in the server's greeting may hold any four letters."""


def _is_connected(one: socket.socket) -> bool:
    try:
        one.getpeername()
    except OSError:
        return False
    return True


def flood(order: Order, said: tuple[bytes, ...]) -> Counter[str]:
    """All of it; returns what became of each login."""
    running, begun, start = Flood(order.port, said, is_tls=order.is_tls), 0, time.monotonic()
    at_once = order.at_once
    for number in range(order.silent):
        running.begin(number, is_silent=True)
    while begun < order.logins or running.open:
        now = time.monotonic() - start
        while begun < min(order.logins, int(now / order.seconds * order.logins) + 1) and running.open < at_once:
            running.begin(begun)
            begun += 1
        for number in range(running.turn(0.002)):
            running.begin(number, is_silent=True)
        if now > order.seconds + _PATIENCE_S:
            running.ends["never ended"] += running.open
            break
    return running.ends


def _become(order: Order) -> None:
    """Who the order says, with room for all its sockets."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if order.is_elsewhere:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    if order.user:
        os.setgroups([])
        os.setgid(order.user)
        os.setuid(order.user)


def main() -> None:
    """Flood, and say what came of it."""
    order = Order(**json.loads(sys.argv[1]))
    said = lines(order.key, is_tls=order.is_tls)
    _become(order)
    start = time.monotonic()
    ends = flood(order, said)
    took_s, used_s = time.monotonic() - start, time.process_time()
    print(json.dumps({"ends": ends, "took_s": round(took_s, 2), "processor_s": round(used_s, 2)}))


if __name__ == "__main__":
    main()
