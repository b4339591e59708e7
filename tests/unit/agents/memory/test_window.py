"""What a model is told while a conversation grows: the turns, and in place of what was put away a notice or a summary."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec
import pytest

from agents.llm import Answer, AssistantTurn, Completion, Turn, Usage, UserTurn
from agents.llm.errors import Overloaded
from agents.memory.session import Kept, Session
from agents.memory.summary import PROMPT, PROMPT_VERSION, Summariser, transcript
from agents.memory.window import Compacted, ConversationWindow, Surroundings
from schemas.agent import Llm, Memory

LLM = Llm.model_validate({"system_prompt": "be kind", "pool": [{"provider": "offline"}]})
SESSION = Session(caller="ops", context_id="c", began_at="t0", written_at="t0")


@dataclass
class Stage:
    """A window of 1000 tokens in which a letter is a token, and what it asked models and told the trail."""

    answer: Callable[[], Answer] = lambda: Answer(text="they agreed", model="m", stop_reason="end")
    settings: Memory = Memory(context_window_size=1_000, compression_token_threshold=300)  # noqa: RUF009  frozen
    asked: list[Completion] = field(default_factory=list)
    told: list[Compacted] = field(default_factory=list)

    def window(self, session: Session = SESSION, exchange: str = "now", *, fixed: int = 0) -> ConversationWindow:
        """One request's view of the session."""

        async def complete(completion: Completion) -> Answer:
            self.asked.append(completion)
            return self.answer()

        place = Surroundings(
            settings=self.settings,
            fixed=fixed,
            summariser=Summariser(LLM, most_chars=2_000, timeout_s=5),
            complete=complete,
            stamp=lambda: "t1",
            on_compacted=self.told.append,
            has_recall=True,
            weigh=lambda turn: len(turn.text) if isinstance(turn, UserTurn | AssistantTurn) else 1,
        )
        return ConversationWindow(place, session, exchange)


def said(count: int, size: int, begin: int = 0) -> tuple[Turn, ...]:
    """Questions and answers of `size` letters, each its own."""
    kinds = (UserTurn, AssistantTurn)
    return tuple(kinds[n % 2](text=f"{n:03}".ljust(size, "x")) for n in range(begin, begin + count))


def past(turns: tuple[Turn, ...], before: ConversationWindow | None = None) -> Session:
    """A conversation in which `turns` were said, behind what `before` made of it."""
    kept = tuple(Kept(turn=turn, exchange="then", at="t0") for turn in turns)
    if before is None:
        return msgspec.structs.replace(SESSION, turns=kept)
    return msgspec.structs.replace(SESSION, turns=before.turns + kept, archived=before.archived, summary=before.summary)


async def test_what_fits_is_told_as_it_is() -> None:
    """No model is asked, nothing is put away."""
    stage = Stage()
    window = stage.window()
    window.hear(said(9, 100))
    assert not await window.compact(is_overflow=False)
    assert window.told == said(9, 100)
    assert (stage.asked, stage.told) == ([], [])


async def test_what_is_put_away_is_summarised_and_can_be_found() -> None:
    """The summary is the caller's side's text, by a prompt that holds nothing of the conversation; the newest stay."""
    stage = Stage()
    turns = said(10, 100)
    window = stage.window(past(turns))
    assert await window.compact(is_overflow=False)
    marker, *rest = window.told
    assert isinstance(marker, UserTurn)
    assert marker.kept == "summary"
    assert marker.text.startswith("[5 earlier messages of this conversation are not shown. The tool recall")
    assert marker.text.endswith("they agreed")
    assert tuple(rest) == turns[-5:]
    assert [kept.turn for kept in window.archived] == list(turns[:5])
    (asked,) = stage.asked
    assert asked.system.text == PROMPT
    assert "be kind" not in asked.system.text
    (question,) = asked.turns
    assert isinstance(question, UserTurn)
    assert "User: 000" in question.text
    assert "Assistant: 001" in question.text
    (told,) = stage.told
    assert (told.put_away, told.before, told.prompt) == (5, 1_000, PROMPT_VERSION)
    assert told.after == window.used


async def test_the_next_compaction_works_the_last_summary_in() -> None:
    """One marker stands first, and says how many there are now."""
    stage = Stage()
    window = stage.window(past(said(10, 100)))
    await window.compact(is_overflow=False)
    stage.answer = lambda: Answer(
        text="they agreed twice", model="m", stop_reason="end", usage=Usage(input_tokens=3, output_tokens=4)
    )
    window = stage.window(past(said(6, 100, begin=10), window))
    assert await window.compact(is_overflow=False)
    marker, *rest = window.told
    assert isinstance(marker, UserTurn)
    assert "[11 earlier messages" in marker.text
    assert marker.text.endswith("they agreed twice")
    assert tuple(rest) == said(5, 100, begin=11)
    question = stage.asked[1].turns[0]
    assert isinstance(question, UserTurn)
    assert question.text.startswith("Summary of what was before:\nthey agreed")


@pytest.mark.parametrize("failing", ["error", "cut short", "silence"])
async def test_without_a_summary_the_turns_go_all_the_same(failing: str) -> None:
    """A failed summary costs the summary; what was summarised before stays."""
    stage = Stage()

    def fail() -> Answer:
        if failing == "error":
            raise Overloaded("openai/m", "HTTP 503")
        return Answer(
            text="half" if failing == "cut short" else " ",
            model="m",
            stop_reason="length" if failing == "cut short" else "end",
        )

    stage.answer = fail
    window = stage.window(past(said(10, 100)))
    assert await window.compact(is_overflow=False)
    marker = window.told[0]
    assert isinstance(marker, UserTurn)
    assert (
        marker.text == "[5 earlier messages of this conversation are not shown. The tool recall finds words in them.]"
    )
    assert stage.told[0].prompt == ""


async def test_little_is_put_away_without_a_model() -> None:
    """Up to the threshold no model is asked."""
    stage = Stage(settings=Memory(context_window_size=1_000, compression_token_threshold=500))
    window = stage.window(past(said(10, 100)))
    assert await window.compact(is_overflow=False)
    assert stage.asked == []


async def test_a_providers_count_corrects_the_estimate() -> None:
    """800 estimated tokens were 950 by the provider's count: it is time. What is said since then is estimated alike."""
    stage = Stage()
    turns = said(8, 100)
    window = stage.window(past(turns), fixed=100)
    window.hear(turns, counted=850)
    assert window.used == 850
    assert not await window.compact(is_overflow=False)
    window.hear(turns, counted=1_000)
    assert await window.compact(is_overflow=False)


async def test_a_model_that_refuses_is_believed() -> None:
    """Whatever was counted, a part is put away; when nothing may go, the turns stay."""
    stage = Stage()
    assert await stage.window(past(said(10, 10))).compact(is_overflow=True)
    assert not await stage.window(past(said(5, 10))).compact(is_overflow=True)


async def test_what_is_asked_now_stays() -> None:
    """However many turns with tools follow the question, also when the loop goes on behind the marker."""
    stage = Stage()
    window = stage.window(past(said(2, 100)))
    question = UserTurn(text="count the words")
    window.hear((*window.told, question, *(AssistantTurn(text=str(n) * 100) for n in range(8))))
    assert await window.compact(is_overflow=False)
    assert window.told[1] == question
    window.hear((*window.told, *(AssistantTurn(text=str(n) * 100) for n in range(5))))
    assert await window.compact(is_overflow=False)
    assert window.told[1] == question
    assert len(window.told) == 2 + 5


async def test_a_repeated_exchange_is_said_once() -> None:
    """What an earlier try of this task said is not told to the model again."""
    first, again = UserTurn(text="before"), UserTurn(text="mine")
    session = Session(
        caller="ops", context_id="c", began_at="t0", written_at="t0",
        turns=(Kept(turn=first, exchange="then"), Kept(turn=again, exchange="now")),
        archived=(Kept(turn=again, exchange="now"),),
    )  # fmt: skip
    window = Stage().window(session)
    assert window.told == (first,)
    window.hear((first, again))
    assert [kept.exchange for kept in window.turns] == ["then", "now"]
    assert [kept.at for kept in window.turns] == ["", "t1"]


def test_a_transcript_is_bounded() -> None:
    """What is too long to be read has each turn cut in its middle."""
    text = transcript("", said(50, 1_000), 20_000)
    assert len(text) < 24_000
    assert text.count("characters …]") == 50
    assert "049x" in text
