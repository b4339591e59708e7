"""Buckets and the bulkhead: arithmetic and order, without a server."""

from __future__ import annotations

import asyncio

import pytest

from bus.requests.flow import Buckets, Bulkhead, Rate
from schemas.errors import RateLimited, Unavailable


def _taken(buckets: Buckets, caller: str, now_s: float) -> bool:
    try:
        buckets.take(caller, now_s)
    except RateLimited:
        return False
    return True


def test_a_burst_passes_and_then_the_rate_counts() -> None:
    """20 at once, and then 10 a second: 30 in the first second, 10 in each after it."""
    buckets = Buckets(Rate(per_s=10, burst=20))
    seconds = [sum(_taken(buckets, "ops", 5 + second + step / 100) for step in range(100)) for second in range(3)]
    assert seconds == [29, 10, 10]  # the tenth token of the first second comes with its end


def test_who_is_refused_loses_nothing() -> None:
    """A refusal takes no token: after the time that it named, the next one passes."""
    buckets = Buckets(Rate(per_s=2, burst=1))
    buckets.take("ops", 0)
    for _ in range(5):
        with pytest.raises(RateLimited) as refusal:
            buckets.take("ops", 0.1)
    assert float(refusal.value.metadata["retry_after_s"]) == pytest.approx(0.4)
    buckets.take("ops", 0.1 + 0.4)


def test_callers_who_are_quiet_are_forgotten() -> None:
    """Memory does not grow with the callers that ever asked."""
    buckets = Buckets(Rate(per_s=10, burst=20))
    for number in range(10_000):
        buckets.take(f"c{number}", float(number))
        buckets.refused(f"c{number}", float(number))
    assert len(buckets._full_after) < 1100
    assert len(buckets._refused) < 1100


def test_a_caller_may_have_a_rate_of_its_own() -> None:
    """Who is named gets its own rate, or none; everybody else the common one."""
    buckets = Buckets(Rate(per_s=1, burst=1), {"canary": Rate(0, 1), "ops": Rate(per_s=1, burst=3)})
    passed = {name: sum(_taken(buckets, name, 5) for _ in range(10)) for name in ("canary", "ops", "greeter")}
    assert passed == {"canary": 10, "ops": 3, "greeter": 1}


async def test_places_are_given_in_order_and_back_after_a_cancellation() -> None:
    """First come, first served; one who stops waiting takes no place with it."""
    bulkhead, order = Bulkhead(1, 3, 60), list[int]()
    opened = asyncio.Event()

    async def work(number: int) -> None:
        with bulkhead.take() or await bulkhead.wait():
            order.append(number)
            await opened.wait()

    tasks = [asyncio.create_task(work(number)) for number in range(4)]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        assert bulkhead.take() or await bulkhead.wait()
    tasks[1].cancel()
    opened.set()
    await asyncio.wait(tasks)
    assert order == [0, 2, 3]
    with bulkhead.take() or await bulkhead.wait():
        assert bulkhead._free == 0
    assert bulkhead._free == 1
