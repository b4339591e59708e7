"""Text on its way to a task: gathered, in order, and right at the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.llm import SwitchedOver
from agents.loop import Outlet
from schemas import a2a
from schemas.errors import Unavailable

OVER = SwitchedOver("anthropic", "m-2", "overload")


class Task:
    """What a task has of an answer, and how often it was told."""

    def __init__(self) -> None:
        self.updates: list[tuple[str, bool]] = []
        self.text = ""
        self.is_open = asyncio.Event()
        self.is_open.set()

    async def give(self, parts: tuple[a2a.Part, ...], anew: bool) -> None:
        await self.is_open.wait()
        text = "".join(str(part.text) for part in parts)
        self.updates.append((text, anew))
        self.text = text if anew else self.text + text


@pytest.fixture
def task() -> Task:
    return Task()


@pytest.fixture
async def outlet(task: Task) -> AsyncIterator[Outlet]:
    """One that waits for ever between two updates, unless there is a reason."""
    made = Outlet(task.give, interval_s=3600, most_chars=10)
    yield made
    await made.close()


async def test_the_first_piece_goes_out_at_once(task: Task, outlet: Outlet) -> None:
    """Whoever watches sees that something comes; what follows is gathered."""
    outlet.text("a")
    await _settled()
    outlet.text("b")
    outlet.text("c")
    await _settled()
    assert task.updates == [("a", False)]
    await outlet.flush()
    assert task.updates == [("a", False), ("bc", False)]


async def test_much_text_does_not_wait(task: Task, outlet: Outlet) -> None:
    """An update goes out when there is enough for one."""
    outlet.text("a")
    await _settled()
    outlet.text("0123456789")
    await _settled()
    assert task.updates == [("a", False), ("0123456789", False)]


async def test_a_slow_task_makes_updates_longer(task: Task, outlet: Outlet) -> None:
    """While one update is being stored, the model's text is gathered into the next."""
    task.is_open.clear()
    for piece in "abcdefghijklmno":
        outlet.text(piece)
        await asyncio.sleep(0)
    task.is_open.set()
    await outlet.flush()
    assert [text for text, _ in task.updates] == ["a", "bcdefghijklmno"]


async def test_another_model_takes_over(task: Task, outlet: Outlet) -> None:
    """The mark is seen, what came before and the mark are gone when the new answer begins."""
    outlet.text("Par")
    await _settled()
    outlet.text("is is")
    outlet.switched(OVER)
    outlet.text("Rome")
    outlet.text(".")
    await outlet.finish("Rome.")
    assert task.updates == [
        ("Par", False),
        ("[the model failed (overload): anthropic/m-2 answers from the start]\n", True),
        ("Rome.", True),
    ]


async def test_text_before_a_tool_is_void(task: Task, outlet: Outlet) -> None:
    """It is shown while the tool runs, and is no part of the answer."""
    outlet.text("Let me look.")
    await outlet.flush()
    outlet.void()
    assert task.text == "Let me look."
    outlet.text("Done.")
    await outlet.finish("Done.")
    assert task.text == "Done."


async def test_a_void_text_without_another_is_replaced(task: Task, outlet: Outlet) -> None:
    """An answer that did not come in pieces takes the place of what was shown."""
    outlet.text("Let me look.")
    outlet.void()
    await outlet.finish("Done.")
    assert task.text == "Done."


async def test_what_was_given_nothing_still_has_nothing(task: Task, outlet: Outlet) -> None:
    """An answer that came whole is given by whoever ends the task."""
    outlet.void()
    await outlet.finish("Done.")
    assert task.updates == []


async def test_an_answer_that_cannot_be_given_is_not_paid_for() -> None:
    """What the task raises reaches the loop with the next piece, and at the end."""

    async def give(_: tuple[a2a.Part, ...], __: bool) -> None:
        raise Unavailable("the task is gone")

    outlet = Outlet(give)
    outlet.text("a")
    await _settled()
    with pytest.raises(Unavailable):
        outlet.text("b")
    with pytest.raises(Unavailable):
        await outlet.flush()
    await outlet.close()


_acts = st.lists(st.sampled_from(["text", "switch", "void", "flush", "yield"]), max_size=25)


@settings(max_examples=60, deadline=None)
@given(_acts)
def test_the_task_has_the_answer_at_the_end(acts: list[str]) -> None:
    """Whatever was void, the task has exactly the text of the last answer, or nothing at all."""

    async def run() -> None:
        task, answer = Task(), ""
        outlet = Outlet(task.give, interval_s=0, most_chars=3)
        for number, act in enumerate(acts):
            if act == "text":
                outlet.text(f"{number} ")
                answer += f"{number} "
            elif act == "switch":
                outlet.switched(OVER)
                answer = ""
            elif act == "void":
                outlet.void()
                answer = ""
            elif act == "flush":
                await outlet.flush()
            else:
                await asyncio.sleep(0)
        await outlet.finish(answer or "end")
        assert task.text in ({answer} if answer else {"end", ""})
        assert bool(task.updates) == any(act in {"text", "switch"} for act in acts)
        await outlet.close()

    asyncio.run(run())


async def _settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)
