"""A producer that falls silent, hours later: no evidence against the trail, but whoever verifies it must be told."""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator

from bus.audit.read import Reader
from bus.audit.trust import load_trust
from bus.audit.verifying.verify import Verifier
from bus.audit.verifying.verify_stream import find_heads, verify_with
from schemas import names
from tests.harness.fleet import Bench
from tests.tamper.changes import APPROVALS, GREETER
from tests.tamper.rows import Row

_LATER = datetime.timedelta(hours=3)
_LASTS = ((GREETER.slot_prefix, 27), (APPROVALS.slot_prefix, 30))


async def silence_rows(live: Bench) -> AsyncIterator[Row]:
    """Of the trail of two producers in turn, neither of which said that it ended."""
    reader = Reader(await live.connect("auditor", names.OWN_CREDENTIAL, inbox_prefix=names.inbox_prefix("auditor")))
    for later, expected in ((datetime.timedelta(), ()), (_LATER, _LASTS)):
        verifier = Verifier(load_trust(live.home.trust), tuple(find_heads(live.home.root / "state")))
        report = await verify_with(reader, verifier, now=datetime.datetime.now(datetime.UTC) + later)
        seen = tuple((silent.slot, silent.sequence) for silent in report.silent)
        if later:
            name = "two producers fall silent, three hours later"
            said = f"exit {report.exit_code}  silent at {', '.join(str(sequence) for _, sequence in seen)}"
            yield Row(name, len(seen) == len(expected), seen == expected and report.exit_code == 0, said, str(seen))
        elif seen:
            yield Row("two producers that have just spoken", False, False, "called silent", str(seen))
