"""What a model is told of a conversation in one request: everything that was said, until that is too much.

Guarantees: the newest messages, what is pinned and the prompt stay; a tool's result stays with its call; what goes is
in the archive, word for word. Not guaranteed: that it fits then: when the newest messages alone are too long, the model
says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import takewhile

import structlog

from agents.llm import Turn, UserTurn
from agents.llm.counting import tokens_of_turn
from schemas.agent import Memory

from .compaction import Window, is_worth_a_summary, last_answer, to_put_away
from .session import Kept, Session
from .summary import PROMPT_VERSION, Complete, Summariser
from .weights import correction

_log = structlog.get_logger("agent")


@dataclass(frozen=True, slots=True)
class Compacted:
    """What one compaction did, for the trail. Sizes in tokens."""

    put_away: int
    before: int
    after: int
    prompt: str
    """The version of the summary's prompt; empty when nothing was summarised."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a window works with. `fixed` are the tokens before the conversation; `stamp` is the time as RFC 3339."""

    settings: Memory
    fixed: int
    summariser: Summariser
    complete: Complete
    stamp: Callable[[], str]
    on_compacted: Callable[[Compacted], None]
    has_recall: bool = False
    weigh: Callable[[Turn], int] = tokens_of_turn


class ConversationWindow:
    """One conversation in one request or task, `exchange`: what was said before, and what is said now."""

    def __init__(self, place: Surroundings, session: Session, exchange: str) -> None:
        self._place = place
        self._exchange = exchange
        self._scale, self._fixed = 1.0, place.fixed
        self.turns = tuple(kept for kept in session.turns if kept.exchange != exchange)
        self.archived = tuple(kept for kept in session.archived if kept.exchange != exchange)
        self.forgotten = session.forgotten
        self.summary, self.summary_prompt = session.summary, session.summary_prompt
        self._weights: dict[int, tuple[Turn, int]] = {}
        """By `id` of the turn, which is kept so that no other gets its id."""
        if self.turns == session.turns:
            self._believe(session.used_tokens, self.turns)

    @property
    def used(self) -> int:
        """Tokens of everything that a model is told."""
        return self._weighed().used

    @property
    def told(self) -> tuple[Turn, ...]:
        """What a model is told: what stands for the archive, then the turns."""
        marker = self._marker()
        turns = tuple(kept.turn for kept in self.turns)
        return (UserTurn(text=marker, kept="summary"), *turns) if marker else turns

    def hear(self, turns: Sequence[Turn], counted: int | None = None) -> None:
        """Take in the turns of the loop: those that `told` gave, and what was added. `counted` as in `Memory.fit`."""
        said = turns[1:] if turns and _is_marker(turns[0]) else turns
        same = sum(1 for _ in takewhile(lambda pair: pair[0].turn == pair[1], zip(self.turns, said, strict=False)))
        now = self._place.stamp()
        self.turns = self.turns[:same] + tuple(Kept(turn=turn, exchange=self._exchange, at=now) for turn in said[same:])
        self._believe(counted, self.turns[: last_answer(said)])

    async def compact(self, *, is_overflow: bool) -> bool:
        """Put away what is too much; whether anything was."""
        window = self._weighed()
        gone = to_put_away(window, self._place.settings, is_overflow=is_overflow)
        if not gone:
            return False
        leaving = [self.turns[index] for index in gone]
        prompt = await self._summarise(leaving, sum(window.tokens[index] for index in gone))
        left = frozenset(gone)
        self.turns = tuple(kept for index, kept in enumerate(self.turns) if index not in left)
        self.archived += tuple(leaving)
        self._place.on_compacted(Compacted(len(gone), window.used, self.used, prompt))
        return True

    async def _summarise(self, leaving: Sequence[Kept], tokens: int) -> str:
        """The version of the prompt by which they are summarised; empty when they are not."""
        if not is_worth_a_summary(tokens, self._place.settings):
            return ""
        turns = [kept.turn for kept in leaving]
        answer = await self._place.summariser.summary(self._place.complete, self.summary, turns)
        if answer is None:
            return ""
        self.summary, self.summary_prompt = answer.text.strip(), PROMPT_VERSION
        return PROMPT_VERSION

    def _believe(self, counted: int | None, turns: Sequence[Kept]) -> None:
        """From now on `turns`, and what stands before them, are `counted` tokens; others are estimated alike."""
        if not counted:
            return
        self._scale, self._fixed = 1.0, self._place.fixed
        self._scale = correction(counted, self._weighed(turns).used)
        self._fixed = 0
        self._fixed = max(0, counted - self._weighed(turns).used)

    def _weighed(self, kept: Sequence[Kept] | None = None) -> Window:
        kept = self.turns if kept is None else kept
        turns = [one.turn for one in kept]
        marker, scale, weigh = self._marker(), self._scale, self._place.weigh
        return Window(
            turns=turns,
            tokens=[round(self._weight(turn) * scale) for turn in turns],
            fixed=self._fixed,
            marker=round(weigh(UserTurn(text=marker)) * scale) if marker else 0,
            held=frozenset(index for index, one in enumerate(kept) if self._is_asked_now(one)),
        )

    def _is_asked_now(self, kept: Kept) -> bool:
        return kept.exchange == self._exchange and isinstance(kept.turn, UserTurn)

    def _weight(self, turn: Turn) -> int:
        known = self._weights.get(id(turn))
        if known is None:
            known = self._weights[id(turn)] = turn, self._place.weigh(turn)
        return known[1]

    def _marker(self) -> str:
        """What stands for the archive; empty where nothing was put away."""
        count = len(self.archived) + self.forgotten
        if not count:
            return ""
        how = " The tool recall finds words in them." if self._place.has_recall and self.archived else ""
        notice = f"[{count} earlier messages of this conversation are not shown.{how}]"
        return f"{notice}\n\nA model's summary of them:\n{self.summary}" if self.summary else notice


def _is_marker(turn: Turn) -> bool:
    return isinstance(turn, UserTurn) and turn.kept == "summary"
