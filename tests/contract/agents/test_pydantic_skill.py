"""A skill with types of pydantic, over a real server: both sides are checked by the model's own rules."""

from __future__ import annotations

from typing import Annotated

import pydantic
import pytest

from agents.skill import Context, skill
from schemas import a2a
from schemas.errors import InvalidAgentResponse, InvalidArgument
from tests.harness.agent import caller, sending, serving
from tests.harness.fleet import Bench

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Item(pydantic.BaseModel):
    """A line of an order."""

    name: str
    amount: Annotated[int, pydantic.Field(gt=0, le=10)]


class Order(pydantic.BaseModel):
    """What the skill takes; nothing else."""

    model_config = pydantic.ConfigDict(extra="forbid")
    items: list[Item]


class Total(pydantic.BaseModel):
    """What the skill gives."""

    amount: int


@skill(description="Adds up.", id="total")
async def total(request: Order, ctx: Context) -> Total:
    assert isinstance(request.items[0], Item)
    return Total(amount=sum(item.amount for item in request.items))


@skill(description="Gives a dictionary.", id="lies")
async def lies(request: Order, ctx: Context) -> Total:
    return {"amount": "many"}  # type: ignore[return-value]  # the lie


GOOD = {"items": [{"name": "a", "amount": 2}, {"name": "b", "amount": 3}]}


async def test_data_in_and_data_out(shared_bench: Bench) -> None:
    """The function gets the model, the caller a data part; another skill gets it as a model again."""
    async with serving(shared_bench, "textstats", total) as agent:
        ops = await caller(shared_bench)
        answer = (await ops.send_message(agent.id, sending(GOOD))).message
    assert answer is not None
    assert [(part.data, part.media_type) for part in answer.parts] == [({"amount": 5}, "application/json")]


@pytest.mark.parametrize(
    ("data", "path"),
    [
        ({}, "message.parts[0].data.items"),
        ({"items": [{"name": "a", "amount": 1}, {"name": "b", "amount": 0}]}, "message.parts[0].data.items.1.amount"),
        ({"items": [{"name": "a", "amount": "many"}]}, "message.parts[0].data.items.0.amount"),
        ({"items": [], "more": 1}, "message.parts[0].data.more"),
        ([], "message.parts[0].data"),
    ],
)
async def test_an_input_error_quotes_the_path(shared_bench: Bench, data: object, path: str) -> None:
    """The place in the document is named, to the caller of the wire."""
    async with serving(shared_bench, "textstats", total) as agent:
        with pytest.raises(InvalidArgument) as refused:
            await (await caller(shared_bench)).send_message(agent.id, sending(data))
    assert [violation.field for violation in refused.value.violations] == [path]
    assert path in refused.value.message


async def test_every_wrong_field_is_named_at_once(shared_bench: Bench) -> None:
    """One round is enough to mend all."""
    async with serving(shared_bench, "textstats", total) as agent:
        with pytest.raises(InvalidArgument) as refused:
            await (await caller(shared_bench)).send_message(agent.id, sending({"items": [{}], "more": 1}))
    fields = {violation.field.removeprefix("message.parts[0].data.") for violation in refused.value.violations}
    assert fields == {"items.0.name", "items.0.amount", "more"}


async def test_what_the_function_gives_is_checked(shared_bench: Bench) -> None:
    """Something else than it declares never reaches a caller, in an answer or in a task."""
    async with serving(shared_bench, "textstats", lies) as agent:
        ops = await caller(shared_bench)
        with pytest.raises(InvalidAgentResponse, match="not a Total"):
            await ops.send_message(agent.id, sending(GOOD))
        states = [
            frame.status_update.status.state
            async for frame in ops.stream(agent.id, "SendStreamingMessage", sending(GOOD))
            if frame.status_update
        ]
    assert states[-1] == a2a.FAILED
