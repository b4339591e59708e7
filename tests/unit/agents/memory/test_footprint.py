"""How much memory a conversation takes in the process: an amount, whatever the machine."""

from __future__ import annotations

import gc
import tracemalloc

from agents.llm import AssistantTurn, UserTurn
from agents.memory.bounds import bounded
from agents.memory.session import Kept, Session, decode, encode
from agents.memory.window import ConversationWindow
from tests.unit.agents.memory.test_window import Stage

SESSIONS = 60
MB = 1_000_000


def _value() -> bytes:
    """A stored conversation whose window of 100,000 tokens is nearly full, with as large an archive as one may have."""
    word = "somebody said something that is about so long. "
    turns = tuple(
        Kept(turn=UserTurn(text=word * 20) if n % 2 else AssistantTurn(text=word * 20), exchange=f"m-{n}")
        for n in range(900)
    )
    session = Session(
        caller="ops", context_id="c", began_at="t", written_at="t", turns=turns[-400:], archived=turns[:500]
    )
    return encode(bounded(session, 5))


def test_a_conversation_takes_less_than_a_megabyte() -> None:
    """So many full conversations at work at the same time."""
    value = _value()
    assert len(value) > 700_000
    stage = Stage()
    gc.collect()
    tracemalloc.start()
    try:
        windows: list[ConversationWindow] = [stage.window(decode(value)) for _ in range(SESSIONS)]
        told = [window.told for window in windows]
        gc.collect()
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(told) == SESSIONS
    assert 500_000 < taken / SESSIONS < MB
