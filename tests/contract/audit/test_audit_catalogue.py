"""The catalogue of events: every row is written by somebody, and what is new in it is written when it happens."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from agents.generating.event_page import event_page
from agents.home import EXAMPLE
from schemas.audit import CATALOGUE
from schemas.audit_metadata import EVERYWHERE
from schemas.errors import Unavailable
from schemas.masking import names_a_secret
from tests.contract.audit.writers import UNREADABLE, keys_written, kinds_written
from tests.harness.agent import caller as caller_of
from tests.harness.agent import saying, sending, serving, trail
from tests.harness.fake_llm import Fail, FakeLlm, Say
from tests.harness.fleet import CHECKOUT, bench
from tests.harness.model_agent import directly, filled_in

SOURCES = [path for folder in ("bus", "approvals", "agents") for path in (CHECKOUT / folder).rglob("*.py")]


@pytest.fixture(scope="module")
def written() -> dict[str, set[str]]:
    """Every kind that the product passes to what writes an event, with the keys of its metadata."""
    return keys_written(
        {".".join(path.relative_to(CHECKOUT).with_suffix("").parts): path.read_text() for path in SOURCES}
    )


@pytest.mark.parametrize("kind", sorted(CATALOGUE))
def test_no_row_is_without_a_writer(written: dict[str, set[str]], kind: str) -> None:
    """Each type of the catalogue is written by a call in the sources, and is on the page of events."""
    assert kind in written
    assert f"| `{kind}` |" in event_page()


@pytest.mark.parametrize("kind", sorted(CATALOGUE))
def test_a_row_names_the_metadata_that_are_written(written: dict[str, set[str]], kind: str) -> None:
    """Every key that a writer passes is in the row of the type, every key of a row is passed by one; no key is a secret's."""
    keys = CATALOGUE[kind].metadata
    assert written[kind] == set(keys)
    assert not any(key in EVERYWHERE or names_a_secret(key) for key in keys)


@pytest.mark.parametrize(
    ("source", "keys"),
    [
        ("audit.emit('a.b', action='x')", set()),
        ("audit.emit('a.b', metadata={'x': 1, 'y': z})", {"x", "y"}),
        ("audit.emit('a.b', metadata={'x': 1} if z else None)", {"x"}),
        ("audit.emit('a.b', metadata={'x': 1} | {**{'y': 2}})", {"x", "y"}),
        ("audit.emit('a.b', metadata={'x': 1})\naudit.emit('a.b', metadata={'y': 1})", {"x", "y"}),
        ("m = {'z': 1}\ndef f():\n    m = {'x': 1}\n    audit.emit('a.b', metadata=m)", {"x"}),
        ("audit.emit_all([Happened(kind='a.b', metadata={'x': 1})])", {"x"}),
        (
            "class A:\n  def _t(self, kind):\n    m: M = {'x': 1}\n    emit(kind, metadata=m)\n  def f(self):\n    self._t('a.b')",
            {"x"},
        ),
        ("from other import tell\ntell(audit, 'a.b')", {"o"}),
        ("from other import tell\nself.tell('a.b', 'a.b')\naudit.emit('a.b', metadata={'x': 1})", {"x"}),
        ("audit.emit('a.b', metadata=dict(found))", {UNREADABLE}),
        ("audit.emit('a.b', metadata={name: 1})", {UNREADABLE}),
        ("def f(m):\n    audit.emit('a.b', metadata=m)", {UNREADABLE}),
    ],
)
def test_metadata_are_read_where_they_are_written(source: str, keys: set[str]) -> None:
    """Through names, both ends of a condition, and functions that pass a kind on; what cannot be read is no row's key."""
    other = "def tell(audit, kind):\n    audit.emit(kind, metadata={'o': 1})"
    assert keys_written({"other": other, "this": source})["a.b"] == keys


@pytest.mark.parametrize(
    ("source", "kinds"),
    [
        ("_log.error('a.b')", set()),
        ("KNOWN = {'a.b': 1}\nfold.begin('a.b')", set()),
        ("audit.emit('a.b', action='c.d')", {"a.b"}),
        ("audit.emit_all([Happened(action='c.d', kind='a.b')])", {"a.b"}),
        ("kind = 'a.b' if x else 'c.d'\naudit.emit(kind, action='e.f')", {"a.b", "c.d"}),
        ("ENDS = {1: ('a.b', 2)}\nkind, size = ENDS[x]\nemit(audit, kind, size)", {"a.b"}),
        ("def tell(kind):\n    audit.emit(kind, action='x')\ntell('a.b')", {"a.b"}),
        ("def tell(kind):\n    log(kind)\ntell('a.b')", set()),
    ],
)
def test_only_a_call_that_writes_counts(source: str, kinds: set[str]) -> None:
    """A log line of the same name, or a table that nobody passes on, is no writer."""
    assert kinds_written(source) == kinds


async def test_a_task_that_an_agent_leaves_is_told_by_both(tmp_path: Path) -> None:
    """Who leaves a durable task says so in the conversation in which it does; its events lead from one to the other."""
    async with (
        bench(tmp_path) as running,
        serving(running, "textstats") as agent,
        serving(running, "concierge") as other,
    ):
        task = await other.calls.leave_task("textstats", sending({"text": "one two"}))
        await other.audit.confirm()
        (submitted,) = await trail(running, agent, other, kind="task.submitted")
        assert (submitted.source, submitted.data.resource) == ("urn:agentbus:agent:concierge", f"textstats/{task}")
        received = [event for event in await trail(running, agent, other) if event.short_type == "task.received"]
        assert [event.correlationid for event in received] in ([], [submitted.correlationid])


async def test_an_end_names_its_beginning(tmp_path: Path) -> None:
    """`request.completed` has the `request.sent` that it ends as its cause, whether it was answered or not."""
    async with bench(tmp_path) as running, serving(running, "greeter") as agent, serving(running, "concierge") as asker:
        with suppress(Unavailable):
            await (await caller_of(running)).send_message("concierge", saying("hello"), timeout_s=10)
        events = await trail(running, agent, asker)
    sent = [event.id for event in events if event.short_type == "request.sent"]
    ended = [str(event.causationid) for event in events if event.short_type == "request.completed"]
    assert len(sent) == 2  # to the greeter, and to textstats, which nobody serves here
    assert sorted(sent) == sorted(ended)


async def test_a_models_call_has_its_cost_and_its_breaker_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`llm.called` says what each call did cost, by the price; a model that refused the key is left alone, and why."""
    directly(monkeypatch)
    async with FakeLlm() as fake:
        fake.script += [Fail(401, "authentication_error"), Say("hi", input_tokens=1000, output_tokens=100)]
        access = "api_key: 'file:KEY', base_url: 'URL'"
        price = "price: {input_usd_per_million: 3, output_usd_per_million: 15}"
        file = (EXAMPLE / "agents/greeter/agent.yaml").read_text()
        models = "\n    - ".join(f"{{provider: openai, model: {name}, {access}, {price}}}" for name in ("a", "b"))
        priced = file.replace("{provider: offline}", filled_in(models, fake, tmp_path))
        assert priced != file
        async with bench(tmp_path, agents={"greeter": (priced, "")}) as running, serving(running, "greeter") as agent:
            await (await caller_of(running)).send_message("greeter", saying("hello"), timeout_s=10)
            refused, answered = await trail(running, agent, kind="llm.called")
            (left,) = await trail(running, agent, kind="llm.left_alone")
    assert (refused.data.resource, refused.data.reason) == ("openai/a", "auth")
    assert refused.data.metadata == {"input_tokens": 0, "output_tokens": 0, "cost_usd": 0.0}
    assert answered.data.resource == "openai/b"
    assert answered.data.metadata == {"input_tokens": 1000, "output_tokens": 100, "cost_usd": 0.0045}
    assert (left.data.resource, left.data.reason) == ("openai/a", "auth")
