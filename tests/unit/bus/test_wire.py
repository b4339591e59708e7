"""The way through the bytes: whatever the pieces that they come in, every message is handed on once and in order."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nats.errors import ProtocolError

from bus.headers import encode
from bus.wire import Msg, WireClient

OTHER = [b"PING\r\n", b"PONG\r\n", b"+OK\r\n", b'INFO {"max_payload":1}\r\n', b"-ERR 'Slow Consumer'\r\n"]
payloads = st.binary(max_size=40) | st.sampled_from([b"\r\n", b"MSG a 1 0\r\n\r\n", b"PING\r\n"])
messages = st.builds(
    lambda reply, payload, value: (reply, payload, encode({"Name": value}) if value else b""),
    st.sampled_from(["", "_INBOX.x"]),
    payloads,
    st.sampled_from(["", "1"]),
)


def line_of(reply: str, payload: bytes, block: bytes) -> bytes:
    """A message as the server sends it to subscription 7."""
    where = f" {reply}" if reply else ""
    if block:
        head = f"HMSG a.b 7{where} {len(block)} {len(block) + len(payload)}\r\n"
    else:
        head = f"MSG a.b 7{where} {len(payload)}\r\n"
    return head.encode() + block + payload + b"\r\n"


def client_with(found: list[Msg]) -> WireClient:
    client = WireClient()
    client.handlers[7] = found.append
    client._ps.reset()
    return client


@settings(max_examples=300, deadline=None)
@given(what=st.lists(messages | st.sampled_from(OTHER), max_size=12), cuts=st.lists(st.integers(1, 30), max_size=60))
async def test_pieces_do_not_matter(what: list[tuple[str, bytes, bytes] | bytes], cuts: list[int]) -> None:
    """Messages go to their handler, all other lines whole to nats-py's parser, each in the order of the bytes."""
    found: list[Msg] = []
    parser = client_with(found)._ps
    data = b"".join(one if isinstance(one, bytes) else line_of(*one) for one in what)
    others = b""
    for size in [*cuts, len(data)]:
        piece, data = data[:size], data[size:]
        others += parser._taken(piece)  # type: ignore[attr-defined]  # ours
    assert others == b"".join(one for one in what if isinstance(one, bytes))
    wanted = [one for one in what if not isinstance(one, bytes)]
    assert [(message.reply, message.data, message.block) for message in found] == wanted


@pytest.mark.parametrize(
    "line",
    [b"MSG a\r\n", b"MSG a x 1\r\n", b"HMSG a 7 x 1\r\n", b"MSG a 7 -\r\n", b"MSG a 7 -9\r\n", b"HMSG a 7 9 5\r\n"],
)
def test_a_message_line_that_cannot_be_read_ends_the_connection(line: bytes) -> None:
    """What follows it could be anything."""
    with pytest.raises(ProtocolError):
        client_with([])._ps._taken(line)  # type: ignore[attr-defined]


def test_a_handler_that_fails_costs_nothing_but_its_message() -> None:
    """The next message arrives, and so does the work that waited for the end of the read."""
    found: list[Msg] = []
    client = client_with(found)

    def handler(message: Msg) -> None:
        client.after_read.append(lambda: found.append(message))
        raise ValueError

    client.handlers[7] = handler
    client._ps._taken(line_of("", b"1", b"") + line_of("", b"2", b""))  # type: ignore[attr-defined]
    assert sorted(message.data for message in found) == [b"1", b"2"]
    assert client.after_read == []
