"""The official clients, through our providers, against a real HTTP server that speaks both wire formats."""

from __future__ import annotations

import asyncio

import pytest

from agents.llm.conversation import (
    Answer,
    AssistantTurn,
    Completion,
    ToolCall,
    ToolResult,
    ToolTurn,
    Usage,
    UserTurn,
)
from agents.llm.deltas import whole_of
from agents.llm.errors import (
    ContextOverflow,
    KeyRefused,
    LlmError,
    ModelUnknown,
    NetworkFailed,
    Overloaded,
    PolicyRefused,
    QuotaExhausted,
    RateExceeded,
    RequestMalformed,
    TimedOut,
)
from tests.harness.fake_llm import (
    CallTool,
    Cut,
    Drip,
    Fail,
    FakeLlm,
    Gate,
    Held,
    Say,
    Step,
    Wire,
)
from tests.harness.llm import ADD, KEY, PROMPT, WORDS, ask, provider
from tests.harness.model_agent import directly

BOTH = pytest.mark.parametrize("wire", ["openai", "anthropic"])


@pytest.fixture(autouse=True)
def _direct(monkeypatch: pytest.MonkeyPatch) -> None:
    directly(monkeypatch)


@BOTH
async def test_text_usage_and_exact_model_arrive(wire: Wire, fake: FakeLlm) -> None:
    """An answer carries the text, the tokens as counted by the provider, and the provider's name of the model."""
    fake.script.append(Say("hello", input_tokens=5, output_tokens=2))
    answer = await ask(wire, fake)
    assert answer == Answer(
        text="hello", model="m-1-exact", stop_reason="end", usage=Usage(input_tokens=5, output_tokens=2)
    )


@BOTH
async def test_prompt_and_user_text_travel_apart(wire: Wire, fake: FakeLlm) -> None:
    """The system prompt goes where the wire format wants it, and user text only ever into user messages."""
    fake.script.append(Say("ok"))
    await ask(wire, fake)
    body = fake.requests[0].body
    system = body["system"] if wire == "anthropic" else body["messages"].pop(0)["content"]
    assert system == "Be brief."
    assert body["messages"] == [{"role": "user", "content": WORDS}]
    assert WORDS not in system


@BOTH
async def test_the_smaller_token_limit_is_sent(wire: Wire, fake: FakeLlm) -> None:
    """A completion may lower the choice's max_tokens and never raise it."""
    fake.script += [Say("ok"), Say("ok"), Say("ok")]
    for limit in (None, 10, 9999):
        await ask(wire, fake, limit=limit)
    assert [request.body["max_tokens"] for request in fake.requests] == [64, 10, 64]


@BOTH
async def test_tool_calls_come_in_and_results_go_out(wire: Wire, fake: FakeLlm) -> None:
    """Tools are offered with their schema, calls are read with their input, and the server accepts the results."""
    fake.script += [CallTool("add", {"a": 1, "b": 2}, more=(("add", {"a": 3, "b": 4}),), text="let me"), Say("3 and 7")]
    first = await ask(wire, fake)
    assert first.stop_reason == "tool_calls"
    assert [(call.name, call.input, call.problem) for call in first.tool_calls] == [
        ("add", {"a": 1, "b": 2}, ""),
        ("add", {"a": 3, "b": 4}, ""),
    ]
    results = ToolTurn(
        results=tuple(
            ToolResult(call_id=call.id, name=call.name, text=text, is_error=text == "broken")
            for call, text in zip(first.tool_calls, ("3", "broken"), strict=True)
        )
    )
    second = await ask(wire, fake, UserTurn(text="add"), first.as_turn(), results)
    assert second.text == "3 and 7"
    offered = fake.requests[0].body["tools"][0]
    schema = offered["input_schema"] if wire == "anthropic" else offered["function"]["parameters"]
    assert schema == ADD.input_schema
    sent = str(fake.requests[1].body["messages"])
    assert "'is_error': True" in sent if wire == "anthropic" else "ERROR: broken" in sent


@BOTH
async def test_call_without_result_is_refused_by_the_fake(wire: Wire, fake: FakeLlm) -> None:
    """The fake refuses a call without its result as the services do, so the test above proves something."""
    call = ToolCall(id="call_1", name="add", input={"a": 1})
    with pytest.raises(RequestMalformed):
        await ask(wire, fake, UserTurn(text="add"), AssistantTurn(tool_calls=(call,)), UserTurn(text="and?"))


async def test_arguments_that_are_not_json_become_a_problem(fake: FakeLlm) -> None:
    """A model that writes broken JSON does not break the conversation: the call says what is wrong."""
    fake.script += [CallTool("add", '{"a": 1', more=(("add", "[1]"),)), Say("ok")]
    answer = await ask("openai", fake)
    assert [call.input for call in answer.tool_calls] == [{}, {}]
    assert "not JSON" in answer.tool_calls[0].problem
    assert "not a JSON object" in answer.tool_calls[1].problem


async def test_empty_assistant_turn_is_left_out(fake: FakeLlm) -> None:
    """Anthropic refuses empty content: an earlier turn without text or calls does not make the request invalid."""
    fake.script.append(Say("ok"))
    answer = await ask("anthropic", fake, UserTurn(text="a"), AssistantTurn(), UserTurn(text="b"))
    assert answer.text == "ok"
    assert [message["content"] for message in fake.requests[0].body["messages"]] == ["a", "b"]


FAILURES: list[tuple[Wire, Step, type[LlmError]]] = [
    ("openai", Fail(401, "invalid_request_error", "invalid_api_key"), KeyRefused),
    ("openai", Fail(403, "invalid_request_error"), KeyRefused),
    ("openai", Fail(404, "invalid_request_error", "model_not_found"), ModelUnknown),
    ("openai", Fail(429, "requests", "rate_limit_exceeded"), RateExceeded),
    ("openai", Fail(429, "insufficient_quota", "insufficient_quota"), QuotaExhausted),
    ("openai", Fail(400, "invalid_request_error", "context_length_exceeded"), ContextOverflow),
    ("openai", Fail(400, message="This model's maximum context length is 4096 tokens"), ContextOverflow),
    ("openai", Fail(400, "invalid_request_error", "content_filter"), PolicyRefused),
    ("openai", Fail(400, "invalid_request_error"), RequestMalformed),
    ("openai", Fail(422, "invalid_request_error"), RequestMalformed),
    ("openai", Fail(500, "server_error"), Overloaded),
    ("openai", Fail(503, "server_error"), Overloaded),
    ("openai", Say("part", stop="content_filter"), PolicyRefused),
    ("anthropic", Fail(401, "authentication_error"), KeyRefused),
    ("anthropic", Fail(402, "billing_error"), QuotaExhausted),
    ("anthropic", Fail(429, "rate_limit_error", "enforced_spend_limit_reached"), QuotaExhausted),
    ("anthropic", Fail(400, "invalid_request_error", message="Your credit balance is too low"), QuotaExhausted),
    ("anthropic", Fail(403, "permission_error"), KeyRefused),
    ("anthropic", Fail(404, "not_found_error"), ModelUnknown),
    ("anthropic", Fail(429, "rate_limit_error"), RateExceeded),
    ("anthropic", Fail(400, "invalid_request_error", message="prompt is too long: 9 tokens > 8"), ContextOverflow),
    ("anthropic", Fail(400, "invalid_request_error"), RequestMalformed),
    ("anthropic", Fail(500, "api_error"), Overloaded),
    ("anthropic", Fail(529, "overloaded_error"), Overloaded),
    ("anthropic", Fail(504, "timeout_error"), TimedOut),
    ("anthropic", Say("part", stop="refusal"), PolicyRefused),
]


@pytest.mark.parametrize(("wire", "step", "kind"), FAILURES)
async def test_failures_have_their_cause(wire: Wire, step: Step, kind: type[LlmError], fake: FakeLlm) -> None:
    """Each way a provider refuses has the class of its cause, after one request: clients try nothing again."""
    fake.script.append(step)
    with pytest.raises(LlmError) as caught:
        await ask(wire, fake)
    assert type(caught.value) is kind
    assert len(fake.requests) == 1


@BOTH
async def test_messages_hold_no_key_and_no_payload(wire: Wire, fake: FakeLlm) -> None:
    """What the provider repeats of the key or the conversation is in no message of ours, chained ones included."""
    fake.script.append(Fail(400, f"{KEY} {WORDS}", f"{KEY} {WORDS}", message=f"bad: {KEY} {WORDS}"))
    with pytest.raises(RequestMalformed) as caught:
        await ask(wire, fake)
    assert str(caught.value).startswith(f"{wire}/m-1: HTTP 400 request req-fake-1; check ")
    assert caught.value.__suppress_context__
    assert caught.value.__cause__ is None


@BOTH
async def test_wrong_key_is_refused(wire: Wire, fake: FakeLlm) -> None:
    """The fake checks the key as the service does, and the message does not show it."""
    with pytest.raises(KeyRefused) as caught:
        await ask(wire, fake, key="sk-wrong-key")
    assert "sk-wrong-key" not in str(caught.value)
    assert fake.requests[0].headers["authorization"] == "Bearer sk-wrong-key"


@BOTH
async def test_without_a_key_none_is_sent(wire: Wire, fake: FakeLlm, monkeypatch: pytest.MonkeyPatch) -> None:
    """A choice without api_key sends no key, whatever the clients would find in the environment by themselves."""
    for name in ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.setenv(name, "sk-of-somebody-else")
    for name in ("OPENAI_BASE_URL", "ANTHROPIC_BASE_URL"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with pytest.raises(KeyRefused):
        await ask(wire, fake, key=None)
    headers = fake.requests[0].headers
    assert "authorization" not in headers
    assert "x-api-key" not in headers


@BOTH
@pytest.mark.parametrize(
    ("headers", "seconds"), [({"retry-after": "7"}, 7.0), ({"retry-after-ms": "250"}, 0.25), ({}, None)]
)
async def test_retry_after_is_kept(wire: Wire, headers: dict[str, str], seconds: float | None, fake: FakeLlm) -> None:
    """A rate error says how long the provider wants us to wait, when it does."""
    fake.script.append(Fail(429, "rate_limit_error", headers=headers))
    with pytest.raises(RateExceeded) as caught:
        await ask(wire, fake)
    assert caught.value.retry_after_s == seconds


@BOTH
async def test_cut_body_is_a_network_failure(wire: Wire, fake: FakeLlm) -> None:
    """An answer that ends in the middle is never taken for an answer."""
    fake.script.append(Cut(Say("a long enough answer")))
    with pytest.raises(NetworkFailed):
        await ask(wire, fake)


@BOTH
@pytest.mark.parametrize("is_half_sent", [False, True])
async def test_slow_answer_times_out_and_the_request_is_dropped(wire: Wire, is_half_sent: bool, fake: FakeLlm) -> None:
    """`timeout_s` bounds the whole answer; afterwards the connection is closed."""
    for timeout_s in (0.2, 2.0, 20.0):  # a busy machine may need more than the first until the request is there
        gate = Gate()
        fake.script[:] = [Held(Say("too late"), gate, is_half_sent=is_half_sent)]
        with pytest.raises(TimedOut):
            await ask(wire, fake, timeout_s=timeout_s)
        if gate.reached.is_set():
            break
    await asyncio.wait_for(gate.abandoned.wait(), 30)


@BOTH
async def test_dripping_answer_times_out(wire: Wire, fake: FakeLlm) -> None:
    """An answer of which a byte arrives now and then is bounded as a whole, not per byte."""
    fake.script.append(Drip(Say("slow"), interval_s=0.1))
    with pytest.raises(TimedOut):
        await ask(wire, fake, timeout_s=0.4)


@BOTH
async def test_held_answer_arrives_when_released(wire: Wire, fake: FakeLlm) -> None:
    """An answer that comes late but in time is an answer."""
    gate = Gate()
    fake.script.append(Held(Say("at last"), gate, is_half_sent=True))
    asking = asyncio.create_task(ask(wire, fake))
    await asyncio.wait_for(gate.reached.wait(), 30)
    gate.release.set()
    assert (await asking).text == "at last"


@BOTH
async def test_cancelling_closes_the_request(wire: Wire, fake: FakeLlm) -> None:
    """Cancellation reaches the HTTP call: the server sees the client leave."""
    gate = Gate()
    fake.script.append(Held(Say("never"), gate))
    asked = provider(wire, fake)
    asking = asyncio.create_task(whole_of(asked.stream(Completion(system=PROMPT, turns=(UserTurn(text="x"),)))))
    await asyncio.wait_for(gate.reached.wait(), 30)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await asyncio.wait_for(gate.abandoned.wait(), 30)
    await asked.close()


@BOTH
async def test_no_server_is_a_network_failure(wire: Wire) -> None:
    """A refused connection says so, and the advice names base_url."""
    async with FakeLlm(api_key=KEY) as gone:
        asked = provider(wire, gone)
    with pytest.raises(NetworkFailed, match="base_url"):
        await whole_of(asked.stream(Completion(system=PROMPT, turns=(UserTurn(text="x"),), timeout_s=20)))
    await asked.close()


@BOTH
async def test_length_stop_is_told(wire: Wire, fake: FakeLlm) -> None:
    """An answer that was cut by max_tokens says so."""
    fake.script.append(Say("half a sen", stop="length" if wire == "openai" else "max_tokens"))
    assert (await ask(wire, fake)).stop_reason == "length"
