"""The sealer's way to its witnesses: a request to each, the answer on the witness's own subject.

The bodies are those of C2SP tlog-witness, its numbers the `Nats-Service-Error-Code`; HTTP is replaced by the bus, so
that nobody listens on a port and a witness behind a firewall connects outwards, as everybody does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

from bus.audit.seal.sealed_log import SealedLog
from bus.audit.seal.witness import CONFLICTING
from bus.audit.tlog.add_checkpoint import AddCheckpoint
from bus.audit.tlog.errors import NotVerified
from bus.audit.tlog.note import Key, Note, Signature, parse_signatures
from bus.connection import Connection, Msg, is_no_responders
from schemas import names, subjects
from schemas.errors import AgentbusError, InvalidSubject
from schemas.text import harmless

_TIMEOUT_S = 3.0
_LONGEST_REASON = 200


class Cosigned(NamedTuple):
    """What the witnesses said: cosignatures that hold, and who gave none, with the reason."""

    signatures: tuple[Signature, ...]
    problems: Mapping[str, str]


class _Refused(AgentbusError):
    """A witness did not cosign."""


class Cosigners:
    """`witnesses` are the keys by the names that they have on the bus."""

    def __init__(self, connection: Connection, witnesses: Mapping[str, Key], timeout_s: float = _TIMEOUT_S) -> None:
        self._connection = connection
        self._witnesses = witnesses
        self._timeout_s = timeout_s
        self._waiting: dict[str, asyncio.Future[Msg]] = {}
        self._sizes: dict[str, int] = {}
        """What each witness cosigned last, as far as is known here."""

    async def start(self) -> None:
        """Listen for answers."""
        await self._connection.subscribe(subjects.Cosigned.pattern(), self._on_answer)

    async def cosign(self, note: Note, log: SealedLog) -> Cosigned:
        """Ask every witness to cosign the checkpoint that `log` sealed last. Never raises for what one of them does."""
        said = await asyncio.gather(*(self._one(witness, note, log) for witness in self._witnesses))
        named = dict(zip(self._witnesses, said, strict=True))
        problems = {witness: found for witness, found in named.items() if isinstance(found, str)}
        return Cosigned(tuple(found for found in said if isinstance(found, Signature)), problems)

    async def _one(self, witness: str, note: Note, log: SealedLog) -> Signature | str:
        size = log.sealed.size if log.sealed else 0
        try:
            answer = await self._ask(witness, self._sizes.get(witness, 0), note, log)
            known = _size_of(answer)
            if known is not None and known != self._sizes.get(witness, 0):
                self._sizes[witness] = known
                if known > size:
                    raise _Refused(f"it has cosigned a checkpoint of {known}, this one is of {size}")
                answer = await self._ask(witness, known, note, log)
            signature = _signature(answer, note, self._witnesses[witness])
        except AgentbusError as error:
            return harmless(str(error))[:_LONGEST_REASON]
        self._sizes[witness] = size
        return signature

    async def _ask(self, witness: str, old: int, note: Note, log: SealedLog) -> Msg:
        body = bytes(AddCheckpoint(old, tuple(log.consistency(old)), bytes(note)))
        reply = str(subjects.Cosigned(witness, self._connection.unique().lower()))
        waiting: asyncio.Future[Msg] = asyncio.get_running_loop().create_future()
        self._waiting[reply] = waiting
        try:
            await self._connection.publish(str(subjects.Cosign(witness)), body, reply=reply)
            async with asyncio.timeout(self._timeout_s):
                answer = await waiting
        except TimeoutError:
            raise _Refused(f"it did not answer within {self._timeout_s:g} s") from None
        finally:
            del self._waiting[reply]
        if is_no_responders(answer):
            raise _Refused("it does not run")
        return answer

    def _on_answer(self, message: Msg) -> None:
        waiting = self._waiting.get(message.subject)
        if waiting is not None and not waiting.done():
            waiting.set_result(message)


def _size_of(answer: Msg) -> int | None:
    """The size that a witness has, when it refused for that."""
    if answer.headers.get(names.SERVICE_ERROR_CODE) != str(CONFLICTING):
        return None
    told = answer.data.decode("ascii", "replace").removesuffix("\n")
    return int(told) if told.isdecimal() and len(told) < 20 else None


def _signature(answer: Msg, note: Note, key: Key) -> Signature:
    if code := answer.headers.get(names.SERVICE_ERROR_CODE):
        raise _Refused(f"{code} {answer.headers.get(names.SERVICE_ERROR, '')}")
    try:
        for signature in parse_signatures(answer.data.decode("utf-8", "replace")):
            if (signature.name, signature.key_id) == (key.name, key.key_id):
                key.verify(note.text, signature)
                return signature
    except NotVerified as error:
        raise _Refused(f"its cosignature does not hold: {error}") from None
    raise _Refused("its answer has no cosignature of its key")


def reply_of(message: Msg, witness: str) -> str:
    """Where a witness answers, empty when the request names another's place or none."""
    try:
        return message.reply if subjects.Cosigned.parse(message.reply).witness == witness else ""
    except InvalidSubject:
        return ""
