"""What the server recorded, read from the start and then as it grows, in the order it happened.

Three streams are merged by the server's time stamps. Votes and outcomes are pulled before proposals, so
every proposal that a pulled vote can be about is there when the vote is judged.
"""

from __future__ import annotations

from approvals.verdict.fold import Judgement, Ledger, Recorded, Rulebook, Rules, first_rules, is_of_rules
from bus.connection import Connection
from bus.jetstream import Puller, delivery_of
from schemas import names

_BATCH = 500
_PULL_ORDER = (names.OUTCOMES, names.DECISIONS, names.PROPOSALS)
_TIE_ORDER = {names.PROPOSALS: 0, names.DECISIONS: 1, names.OUTCOMES: 2}


class MissedRecord(Exception):
    """A delivery was lost on the way; what was folded so far must be read again from the start."""


class Records:
    """Reads the approval streams through the consumers that belong to `reader`."""

    def __init__(self, connection: Connection, reader: str, streams: tuple[str, ...] = _PULL_ORDER) -> None:
        self._pullers = {stream: Puller(connection, stream, reader) for stream in _PULL_ORDER if stream in streams}
        self._read = dict.fromkeys(self._pullers, 0)

    async def restart(self) -> None:
        """Begin again at the first record of each stream."""
        for stream, puller in self._pullers.items():
            await puller.restart()
            self._read[stream] = 0

    async def new(self) -> list[tuple[str, Recorded]]:
        """Everything recorded since the last call, as (stream, record).

        Raises:
            MissedRecord: call `restart` and fold from nothing.
        """
        found: list[tuple[str, Recorded]] = []
        for stream in self._pullers:
            while batch := await self._pull(stream):
                found += [(stream, record) for record in batch]
                if len(batch) < _BATCH:
                    break
        return sorted(found, key=lambda item: (item[1].at_ns, _TIE_ORDER[item[0]], item[1].sequence))

    async def _pull(self, stream: str) -> list[Recorded]:
        records = []
        for message in await self._pullers[stream].pull(_BATCH, wait_s=0):
            delivery = delivery_of(message)
            self._read[stream] += 1
            if delivery.consumer_sequence != self._read[stream]:
                raise MissedRecord(
                    f"{stream}: expected delivery {self._read[stream]}, got {delivery.consumer_sequence}"
                )
            records.append(Recorded(message.subject, message.data, delivery.stream_sequence, delivery.at_ns))
        return records


def feed(ledger: Ledger, stream: str, record: Recorded) -> Judgement:
    """Give one record to the ledger.

    Raises:
        MissedRecord: other rules came into force before something that was judged already; fold from nothing.
    """
    if stream == names.OUTCOMES and is_of_rules(record) and record.at_ns < ledger.latest_ns:
        raise MissedRecord("the rules changed before what was read last")
    judge = {names.PROPOSALS: ledger.proposed, names.DECISIONS: ledger.voted, names.OUTCOMES: ledger.ended}
    judgement = judge[stream](record)
    ledger.latest_ns = record.at_ns
    return judgement


def begin(rules: Rules, rulebook: Rulebook, found: list[tuple[str, Recorded]]) -> Ledger:
    """An empty ledger for everything that is on record; `rules` are those in force now, for a record without any."""
    first = first_rules(record for stream, record in found if stream == names.OUTCOMES)
    return Ledger(rulebook.at(first) if first else rules, rulebook)
