"""Tries cells on a real server, in the protocol itself: no client library decides anything in between.

Everything that one key tries goes out in one write; the answer to the PING behind it ends the server's complaints,
which name the subject. What must be answered is waited for.

Source: NATS client protocol.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import nkeys

from bus.credentials import create_credential
from tests.matrix.cells import Act, Cell, Verdict
from tests.matrix.roles import KEYLESS, UNKNOWN, Key
from tests.matrix.rules import Way

_REFUSED = re.compile(r"-ERR 'Permissions Violation for (Publish|Subscription) to \"([^\"]+)\"")
_NOT_LET_IN = "-ERR 'Authorization Violation'"
_TIMEOUT_S = 10.0
_ALL = "1"
"""The number of the subscription that hears every answer."""
_BODY = b'{"batch":1,"no_wait":true}'
"""Of a pull it asks for what is there now; every other call takes it, or says that it does not."""
_LISTENING = {
    ("approvals", "own.nk"): (
        "approvals.propose.*", "approvals.withdraw.*", "approvals.glass.*.*", "approvals.evaluate.*", "approvals.ask.*.*",
        "approvals.review.*.*",
    )
}  # fmt: skip
"""Who is there while others try, so that what goes through an import is heard."""


class Wire:
    """One connection to the server, line by line."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def send(self, lines: bytes) -> None:
        """Hand bytes to the socket."""
        self._writer.write(lines)

    async def line(self) -> str:
        """The next line, without its end; of a message its body is skipped. Empty when the server hung up."""
        line = (await asyncio.wait_for(self._reader.readline(), _TIMEOUT_S)).decode().rstrip()
        if line.startswith(("MSG ", "HMSG ")):
            body = await asyncio.wait_for(self._reader.readexactly(int(line.split()[-1]) + 2), _TIMEOUT_S)
            line += " " + body.split(b"\r\n", 1)[0].decode(errors="replace")
        return line


@asynccontextmanager
async def wire(host: str, port: int, seed: Path | None) -> AsyncIterator[Wire]:
    """Connected, with the CONNECT line sent; `seed` is a key file."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        line = Wire(reader, writer)
        greeting = json.loads((await line.line()).removeprefix("INFO "))
        hello: dict[str, object] = {
            "verbose": False,
            "pedantic": False,
            "headers": True,
            "no_responders": True,
            "protocol": 1,
        }
        if seed:
            pair = nkeys.from_seed(bytearray(seed.read_bytes().strip()))
            signature = base64.urlsafe_b64encode(pair.sign(greeting["nonce"].encode())).rstrip(b"=").decode()
            hello |= {"nkey": pair.public_key.decode(), "sig": signature}
        line.send(f"CONNECT {json.dumps(hello)}\r\n".encode())
        yield line
    finally:
        writer.transport.abort()


class Prober:
    """Tries the cells of a fleet's keys on its server. `folder` is for a key of nobody's."""

    def __init__(self, host: str, port: int, credentials: Path, folder: Path) -> None:
        self._address = (host, port)
        self._credentials = credentials
        self._stranger = create_credential(folder / "stranger.nk").path

    def _seed(self, key: Key) -> Path | None:
        strangers = {UNKNOWN: self._stranger, KEYLESS: None}
        return strangers[key.principal] if not key.file else self._credentials / key.principal / key.file

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """With somebody there who hears what reaches the approvals' account."""
        ((principal, file), subjects), *_ = _LISTENING.items()
        async with wire(*self._address, self._credentials / principal / file) as line:
            line.send("".join(f"SUB {subject} {sid}\r\n" for sid, subject in enumerate(subjects, 1)).encode())
            line.send(b"PING\r\n")
            assert await line.line() == "PONG"
            yield

    async def verdicts(self, key: Key, tried: Iterable[Cell]) -> dict[Cell, Verdict]:
        """What the server does about each."""
        wanted = list(tried)
        if not key.file:
            return await self._at_the_door(key, wanted)
        async with wire(*self._address, self._seed(key)) as line:
            return await _tried(line, _inbox(key), wanted)

    async def _at_the_door(self, key: Key, tried: list[Cell]) -> dict[Cell, Verdict]:
        """Everything is sent behind a login that the server must refuse; it is to hang up without a word more."""
        lines = b"".join(_lines(cell, 2 * number, "_INBOX.x") for number, cell in enumerate(tried, 2))
        said = [await self._first_words(key, b"PING\r\n"), await self._first_words(key, lines + b"PING\r\n")]
        # What it has not read when it hangs up makes the kernel drop its last words too: silence, then.
        is_refused = said[0] == _NOT_LET_IN and said[1] in {_NOT_LET_IN, ""}
        return dict.fromkeys(tried, Verdict.REFUSED if is_refused else Verdict.LET)

    async def _first_words(self, key: Key, lines: bytes) -> str:
        async with wire(*self._address, self._seed(key)) as line:
            line.send(lines)
            with contextlib.suppress(ConnectionResetError):
                return await line.line()
        return ""


def _inbox(key: Key) -> str:
    """Where this key may hear answers; the witness hears none."""
    is_person = key.roles & {"operator", "operator's own", "reviewer"}
    return f"_INBOX.{key.principal}.probe" if is_person else f"_INBOX_{key.principal}.probe"


def _lines(cell: Cell, sid: int, inbox: str) -> bytes:
    if cell.act is Act.HEAR:
        plain = f"SUB {cell.subject} {sid}\r\nUNSUB {sid}\r\n"
        return f"{plain}SUB {cell.subject} q {sid + 1}\r\nUNSUB {sid + 1}\r\n".encode()
    return f"PUB {cell.subject} {inbox}.{sid} {len(_BODY)}\r\n".encode() + _BODY + b"\r\n"


async def _tried(line: Wire, inbox: str, tried: list[Cell]) -> dict[Cell, Verdict]:
    numbers = {2 * number: cell for number, cell in enumerate(tried, 2)}
    line.send(
        _listening_for_answers(inbox, numbers)
        + b"".join(_lines(cell, sid, inbox) for sid, cell in numbers.items())
        + b"PING\r\n"
    )
    refused: dict[tuple[bool, str], int] = {}
    answers: dict[int, Verdict] = {}
    while (said := await line.line()) != "PONG":
        assert said, f"the server hung up on {tried[0].key}"
        _note(said, refused, answers)
    waiting = {sid for sid, cell in numbers.items() if _is_owed(cell, refused)}
    with contextlib.suppress(TimeoutError):
        while waiting - answers.keys():
            _note(await line.line(), refused, answers)
    return {cell: _verdict(cell, refused, answers.get(sid)) for sid, cell in numbers.items()}


def _listening_for_answers(inbox: str, numbers: dict[int, Cell]) -> bytes:
    """One subscription for all, and one for each call that is declared to be answered.

    A stream's message comes under its own subject, so only the subscription says which call it answers.
    """
    if all(cell.declared is not Verdict.ANSWERED and cell.way is Way.LET for cell in numbers.values()):
        return b""
    calls = [sid for sid, cell in numbers.items() if cell.declared is Verdict.ANSWERED]
    return f"SUB {inbox}.* 1\r\n".encode() + b"".join(f"SUB {inbox}.{sid} {sid}\r\n".encode() for sid in calls)


def _note(said: str, refused: dict[tuple[bool, str], int], answers: dict[int, Verdict]) -> None:
    if complaint := _REFUSED.match(said):
        what = complaint[1] == "Subscription", complaint[2]
        refused[what] = refused.get(what, 0) + 1
    elif said.startswith(("MSG ", "HMSG ")):
        _, subject, sid, *_ = said.split()
        number = int(subject.rsplit(".", 1)[1]) if sid == _ALL and ".probe." in subject else int(sid)
        answers.setdefault(number, Verdict.NOBODY if said.endswith("NATS/1.0 503") else Verdict.ANSWERED)


def _is_owed(cell: Cell, refused: dict[tuple[bool, str], int]) -> bool:
    """Whether an answer has to come: the call was let through, and JetStream answers each."""
    return cell.act is not Act.HEAR and cell.way is Way.ANSWERED and (False, cell.subject) not in refused


def _verdict(cell: Cell, refused: dict[tuple[bool, str], int], answer: Verdict | None) -> Verdict:
    complaints = refused.get((cell.act is Act.HEAR, cell.subject), 0)
    if cell.act is Act.HEAR:  # alone and in a queue group
        return {0: Verdict.LET, 2: Verdict.REFUSED}.get(complaints, Verdict.PARTLY)
    if complaints:
        return Verdict.REFUSED
    if cell.way is Way.ANSWERED:
        return answer or Verdict.SILENT
    return Verdict.NOBODY if answer is Verdict.NOBODY and cell.way is Way.HEARD else Verdict.LET
