"""The fake model server in a thread of its own, for tests whose agents are processes and that wait for commands."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.harness.fake_llm import FakeLlm


@contextmanager
def in_a_thread(fake: FakeLlm) -> Iterator[asyncio.AbstractEventLoop]:
    """Has the server listen; gives its loop, from outside which a test sets things on it and reads them."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="fake-llm", daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(fake.__aenter__(), loop).result(30)
    try:
        yield loop
    finally:
        asyncio.run_coroutine_threadsafe(fake.__aexit__(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()
