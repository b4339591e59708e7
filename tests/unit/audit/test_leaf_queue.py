"""Hashes that wait for a checkpoint: first in, first out, and not in memory."""

from __future__ import annotations

import random
import tracemalloc
from collections import deque

from bus.audit.seal.waiting import IN_MEMORY, LeafQueue
from bus.audit.tlog.merkle import HASH_BYTES


def leaf(number: int) -> bytes:
    """A hash that is not another's."""
    return number.to_bytes(HASH_BYTES)


def test_first_in_first_out() -> None:
    """Whatever is added and taken in turn, few or more than memory may hold, comes out in order, once."""
    for seed, most in ((1, 10), (2, 5_000), (3, 3 * IN_MEMORY // HASH_BYTES)):
        choose, queue, expected, number = random.Random(seed), LeafQueue(), deque[bytes](), 0
        for _ in range(30 if most > 10_000 else 300):
            for _ in range(choose.randrange(most)):
                queue.append(leaf(number))
                expected.append(leaf(number))
                number += 1
            count = choose.randrange(len(expected) + 1)
            assert list(queue.take(count)) == [expected.popleft() for _ in range(count)]
            assert len(queue) == len(expected)
            if most > 10_000 and number > 600_000:
                break


def test_memory_does_not_grow() -> None:
    """A quarter of a million hashes wait in less than a fifth of the memory that they are; nothing is lost on the way."""
    tracemalloc.start()
    try:
        queue, count = LeafQueue(), 250_000
        for number in range(count):
            queue.append(leaf(number))
        _, peak = tracemalloc.get_traced_memory()
        assert sum(1 for number, one in enumerate(queue.take(count)) if one == leaf(number)) == count
    finally:
        tracemalloc.stop()
    assert peak < count * HASH_BYTES / 5
