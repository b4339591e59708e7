"""Streamed answers of both wire formats: in pieces, read strictly, billed, closed."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, cast

import pytest

from agents.llm.conversation import Usage
from agents.llm.deltas import Finished, TextDelta, whole_of
from agents.llm.errors import (
    AnswerUnreadable,
    ContextOverflow,
    LlmError,
    NetworkFailed,
    Overloaded,
    PolicyRefused,
    QuotaExhausted,
    RateExceeded,
)
from tests.harness.fake_llm import (
    Cut,
    Fail,
    FailMidway,
    FakeLlm,
    Gate,
    Held,
    Raw,
    Say,
    Wire,
)
from tests.harness.llm import KEY, QUESTION, WORDS, ask, opened

BOTH = pytest.mark.parametrize("wire", ["openai", "anthropic"])


@BOTH
@pytest.mark.parametrize(
    "events",
    [
        "<html>", "{}", "[]", "\xff", '{"choices": 1, "type": 1}', '{"choices": [{}], "type": "message_start"}',
        '{"choices": [{"delta": {"tool_calls": [{"index": 0}]}}], "type": "message_delta"}',
        "[DONE]", '{"type": "message_stop"}', '{"type": "content_block_start", "content_block": {"type": "text"}}',
        '{"type": "content_block_delta"}', '{"choices": [], "type": "message_start", "message": {"usage": 1}}\n\n[DONE]',
    ],
)  # fmt: skip
async def test_stream_of_another_form_is_unreadable(wire: Wire, events: str, fake: FakeLlm) -> None:
    """A 200 whose stream is not an answer's is the provider's failure, not a crash and not an empty text."""
    body = "".join(f"data: {event}\n\n" for event in events.split("\n\n"))
    fake.script.append(Raw(body.encode("latin-1")))
    with pytest.raises(AnswerUnreadable):
        await ask(wire, fake)


@BOTH
@pytest.mark.parametrize("body", [b"", b"<html>", b'{"choices": []}', b"data: [DONE]\n\n"])
async def test_what_is_no_stream_is_unreadable(wire: Wire, body: bytes, fake: FakeLlm) -> None:
    """A 200 that does not say that it is an event stream is not read as one."""
    fake.script.append(Raw(body, "text/html"))
    with pytest.raises(AnswerUnreadable, match="not an event stream"):
        await ask(wire, fake)


@BOTH
async def test_body_that_ends_before_the_answer_is_a_network_failure(wire: Wire, fake: FakeLlm) -> None:
    """A body that ends as a whole one does, but without the answer's own end, is never taken for an answer."""
    fake.script += [Cut(Say("a long enough answer"), is_tidy=True), Raw(b"")]
    for _ in range(2):
        with pytest.raises(NetworkFailed):
            await ask(wire, fake)


@BOTH
async def test_text_comes_in_pieces_and_then_whole(wire: Wire, fake: FakeLlm) -> None:
    """Each piece is given as it comes; `Finished` is last, and its text is all of them."""
    text = "one two\u2028three\r\n\r\ndata: four \U0001f600"
    fake.script.append(Say(text))
    async with opened(wire, fake) as asked:
        *pieces, last = [delta async for delta in asked.stream(QUESTION)]
    assert isinstance(last, Finished)
    assert [type(piece) for piece in pieces] == [TextDelta] * len(pieces)
    assert "".join(piece.text for piece in pieces if isinstance(piece, TextDelta)) == last.answer.text == text


@BOTH
async def test_pieces_come_before_the_answer_is_whole(wire: Wire, fake: FakeLlm) -> None:
    """The first words are there while the rest is still at the provider; closing then closes the request."""
    gate = Gate()
    fake.script.append(Held(Say("first words, and then many more of them, until the end"), gate, is_half_sent=True))
    async with opened(wire, fake) as asked:
        deltas = asked.stream(QUESTION)
        first = await anext(deltas)
        assert isinstance(first, TextDelta)
        assert first.text.startswith("first")
        assert not gate.release.is_set()
        await deltas.aclose()
        await asyncio.wait_for(gate.abandoned.wait(), 30)


STREAM_FAILURES: list[tuple[Wire, Fail, type[LlmError]]] = [
    ("openai", Fail(0, "server_error"), Overloaded),
    ("openai", Fail(0, "insufficient_quota", "insufficient_quota"), QuotaExhausted),
    ("openai", Fail(0, "requests", "rate_limit_exceeded"), RateExceeded),
    ("openai", Fail(0, "invalid_request_error", "context_length_exceeded"), ContextOverflow),
    ("openai", Fail(0, "", cast(Any, 429)), RateExceeded),
    ("openai", Fail(0, "", cast(Any, 502)), Overloaded),
    ("anthropic", Fail(0, "overloaded_error"), Overloaded),
    ("anthropic", Fail(0, "api_error"), Overloaded),
    ("anthropic", Fail(0, "rate_limit_error"), RateExceeded),
    ("anthropic", Fail(0, "rate_limit_error", "enforced_spend_limit_reached"), QuotaExhausted),
]


@pytest.mark.parametrize(("wire", "error", "kind"), STREAM_FAILURES)
async def test_failures_in_the_stream_have_their_cause(
    wire: Wire, error: Fail, kind: type[LlmError], fake: FakeLlm
) -> None:
    """An error after half of the answer has its cause, shows nothing of what the provider wrote, and may be billed."""
    fake.script.append(FailMidway(Say("one two three four"), replace(error, message=f"{KEY} {WORDS}")))
    with pytest.raises(LlmError) as caught:
        await ask(wire, fake)
    assert type(caught.value) is kind
    assert caught.value.usage == Usage()
    assert KEY not in str(caught.value)
    assert "error in the stream" in str(caught.value)


@BOTH
async def test_refused_answer_is_billed(wire: Wire, fake: FakeLlm) -> None:
    """An answer that the provider's policy stopped has the tokens that it counted for it."""
    fake.script.append(Say("half", stop="refusal" if wire == "anthropic" else "content_filter"))
    with pytest.raises(PolicyRefused) as caught:
        await ask(wire, fake)
    assert caught.value.usage == Usage(input_tokens=11, output_tokens=7)


@BOTH
async def test_cached_tokens_are_told_and_are_input(wire: Wire, fake: FakeLlm) -> None:
    """What the provider had in its cache counts as input on both wires, and is told apart."""
    fake.script.append(Say("hi", input_tokens=100, cached_tokens=60))
    usage = (await ask(wire, fake)).usage
    assert usage == Usage(input_tokens=100, output_tokens=7, cache_read_tokens=60)


@BOTH
async def test_connection_is_used_again(wire: Wire, fake: FakeLlm) -> None:
    """A body is read to its end, so the next call needs no new connection."""
    fake.default = Say("hi")
    async with opened(wire, fake) as asked:
        for _ in range(3):
            await whole_of(asked.stream(QUESTION))
    assert fake.connections == 1


async def test_unknown_usage_stays_unknown(fake: FakeLlm) -> None:
    """A server that counts no tokens gives None, never 0."""
    openai = (
        '{"choices": [{"delta": {"content": "hi"}}]}', '{"choices": [{"delta": {}, "finish_reason": "stop"}]}', "[DONE]"
    )  # fmt: skip
    anthropic = (
        '{"type": "message_start", "message": {}}', '{"type": "news"}',
        '{"type": "content_block_start", "content_block": {"type": "text", "text": "hi"}}',
        '{"type": "message_delta", "delta": {"stop_reason": "end_turn"}}', '{"type": "message_stop"}',
    )  # fmt: skip
    for events in (openai, anthropic):
        fake.script.append(Raw("".join(f": note\ndata:{event}\r\n\r\n" for event in events).encode()))
    for wire in ("openai", "anthropic"):
        answer = await ask(wire, fake)
        assert (answer.text, answer.model, answer.usage) == ("hi", "m-1", Usage())
