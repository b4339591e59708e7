"""What leaves the window and when: at the exact thresholds, whole blocks, oldest first, and never what must stay."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.llm import AssistantTurn, ToolCall, ToolResult, ToolTurn, Turn, UserTurn
from agents.memory.compaction import NOTICE_TOKENS, SUMMARY_TOKENS, Window, blocks, standing_in, to_put_away
from schemas.agent import Memory

SETTINGS = Memory()


def conversation(count: int) -> list[Turn]:
    """Questions and answers in turn."""
    return [UserTurn(text=str(n)) if n % 2 == 0 else AssistantTurn(text=str(n)) for n in range(count)]


def with_tools(name: str) -> tuple[Turn, Turn]:
    """A turn that asks for a tool, and the results."""
    call = ToolCall(id=name, name="read")
    return AssistantTurn(tool_calls=(call,)), ToolTurn(results=(ToolResult(call_id=name, name="read", text="t"),))


@pytest.mark.parametrize(
    ("used", "is_too_much"), [(90_000, False), (90_001, True), (100_000, True), (60_001, False), (1, False)]
)
def test_it_begins_over_nine_tenths_of_the_window(used: int, is_too_much: bool) -> None:
    """90,000 of 100,000 tokens stay as they are, one more does not; what is fixed counts as well."""
    turns = conversation(20)
    for fixed in (0, 1):
        tokens = [0] * 19 + [used - fixed]
        assert bool(to_put_away(Window(turns, tokens, fixed=fixed), SETTINGS)) == is_too_much


@pytest.mark.parametrize(
    ("each", "count", "gone"),
    [
        (1_000, 96, 38),  # without 37 of them 59,000 are left, and the summary takes up to 1088
        (1_000, 91, 33),
        (10_000, 10, 5),
    ],
)
def test_it_ends_at_six_tenths(each: int, count: int, gone: int) -> None:
    """As few as possible go so that the rest, and what stands for them, is 60,000 tokens at most."""
    window = Window(conversation(count), [each] * count)
    found = to_put_away(window, SETTINGS)
    assert found == tuple(range(gone))
    rest = (count - gone) * each
    assert rest + SUMMARY_TOKENS + NOTICE_TOKENS <= SETTINGS.cleanup_to or gone == count - 5
    assert rest + each + SUMMARY_TOKENS + NOTICE_TOKENS > SETTINGS.cleanup_to


def test_the_last_five_messages_stay_however_large_they_are() -> None:
    """Six turns of 50,000 tokens: one goes, though five are over the window still."""
    assert to_put_away(Window(conversation(6), [50_000] * 6), SETTINGS) == (0,)
    assert to_put_away(Window(conversation(5), [50_000] * 5), SETTINGS) == ()


def test_a_call_and_its_results_go_together_or_stay() -> None:
    """The fifth newest message is a result: its call stays with it."""
    turns = [UserTurn(text="1"), *with_tools("a"), *conversation(4)]
    assert to_put_away(Window(turns, [50_000] * 7), SETTINGS) == (0,)
    turns = [UserTurn(text="1"), *with_tools("a"), *conversation(5)]
    assert to_put_away(Window(turns, [50_000] * 8), SETTINGS) == (0, 1, 2)


def test_what_is_asked_now_stays() -> None:
    """A question is told to the model however much its tools have said since."""
    turns = [UserTurn(text="1"), *with_tools("a"), *conversation(5)]
    assert to_put_away(Window(turns, [50_000] * 8, held=frozenset({0})), SETTINGS) == (1, 2)


def test_pinned_messages_stay_in_a_quarter_of_the_window() -> None:
    """The newest that have room there; an older one beyond goes like others."""
    pins = [UserTurn(text=str(n), kept="pinned") for n in range(3)]
    turns = [*pins, *conversation(5)]
    assert to_put_away(Window(turns, [10_000, 10_000, 10_000, *[20_000] * 5]), SETTINGS) == (0,)
    assert to_put_away(Window(turns, [1, 1, 1, *[20_000] * 5]), SETTINGS) == ()


@pytest.mark.parametrize(("gone", "stands"), [(8_000, NOTICE_TOKENS), (8_001, NOTICE_TOKENS + SUMMARY_TOKENS)])
def test_more_than_eight_thousand_tokens_are_worth_a_summary(gone: int, stands: int) -> None:
    """Exactly as the setting says; a summary of before stays beside a notice."""
    window = Window([], [])
    assert standing_in(gone, window, SETTINGS) == stands
    assert standing_in(1, Window([], [], marker=500), SETTINGS) == 500


def test_a_model_that_refuses_is_believed() -> None:
    """Where the estimate says that it fits and a model that it does not, the same part of the estimate goes."""
    window = Window(conversation(100), [100] * 100)
    assert to_put_away(window, SETTINGS) == ()
    gone = to_put_away(window, SETTINGS, is_overflow=True)
    assert gone == tuple(range(41))  # 10,000 to 6,000, of which the notice takes 64


TURNS = st.lists(
    st.one_of(
        st.just((UserTurn(text="u"),)),
        st.just((UserTurn(text="p", kept="pinned"),)),
        st.just((AssistantTurn(text="a"),)),
        st.just(with_tools("t")),
    ),
    max_size=30,
).map(lambda groups: [turn for group in groups for turn in group])
SMALL = st.builds(
    lambda keep, threshold, summary: Memory(
        context_window_size=1_000,
        cleanup_threshold=threshold,
        cleanup_target=threshold / 2,
        min_messages_to_keep=keep,
        compression_token_threshold=summary,
    ),
    st.integers(1, 8),
    st.floats(0.1, 1.0),
    st.integers(0, 500),
)


@given(TURNS, st.data(), SMALL, st.booleans())
def test_whatever_goes_may_go(turns: list[Turn], data: st.DataObject, settings: Memory, is_overflow: bool) -> None:
    """Never a newest message, never half of a block; nothing while it fits; the rest in its order; enough, or all that may."""
    tokens = [data.draw(st.integers(0, 400)) for _ in turns]
    window = Window(turns, tokens, fixed=data.draw(st.integers(0, 300)), marker=data.draw(st.sampled_from([0, 90])))
    gone = to_put_away(window, settings, is_overflow=is_overflow)
    assert list(gone) == sorted(set(gone))
    assert all(index < len(turns) - settings.min_messages_to_keep for index in gone)
    for block in blocks(turns):
        assert set(block) <= set(gone) or set(block).isdisjoint(gone)
    if not is_overflow and window.used <= settings.cleanup_above:
        assert gone == ()
    left = [turn for index, turn in enumerate(turns) if index not in gone]
    for index, turn in enumerate(left):
        if isinstance(turn, ToolTurn):
            assert isinstance(left[index - 1], AssistantTurn)
            assert index
    pins = sum(tokens[index] for index, turn in enumerate(turns) if isinstance(turn, UserTurn) and turn.kept)
    if pins <= settings.context_window_size // 4:
        assert all(not (isinstance(turns[i], UserTurn) and turns[i].kept) for i in gone)  # type: ignore[union-attr]


@given(TURNS)
def test_blocks_are_the_whole_conversation(turns: list[Turn]) -> None:
    """Each turn is in one block, in order."""
    assert [index for block in blocks(turns) for index in block] == list(range(len(turns)))
