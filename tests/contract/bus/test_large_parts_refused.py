"""Large parts that cannot be believed or had: another's, altered, incomplete, expired, too many, or without room."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import nats
import pytest

from agents.skill import Context, skill
from bus.credentials import Credential
from bus.errors import CredentialMissing
from bus.part_store import OwnAccount, PartStore, always
from bus.requests.caller import Caller
from schemas import a2a, names, parts, protojson
from schemas.errors import InvalidAgentResponse, InvalidArgument, PartNotFound, PayloadTooLarge, Unavailable
from schemas.ids import sha256_hex
from tests.contract.agents.skills import Counting, endless
from tests.contract.bus.test_large_parts import carrying, ended
from tests.harness.admin import administrator
from tests.harness.agent import caller, saying, serving, trail
from tests.harness.fleet import Bench, bench, until

TEXT = b"hello world"


def referring(writer: str, reader: str, part: str = "abc", **changes: Any) -> a2a.Part:
    """A reference to the text above in one chunk."""
    stored = {"kind": "text", "size": len(TEXT), "sha256": sha256_hex(TEXT), "chunks": 1} | changes
    return a2a.Part(url=f"{parts.SCHEME}{writer}:{reader}:{part}", metadata={a2a.LARGE_PARTS_URI: stored})


async def _put(bench: Bench, writer: str, reader: str, part: str = "abc", *chunks: bytes) -> None:
    """Store chunks with a plain client."""
    own = await bench.attacker(writer, names.OWN_CREDENTIAL)
    for number, chunk in enumerate(chunks or (TEXT,), 1):
        answer = await own.client.request(f"part.put.{reader}.{part}.{number}", chunk, timeout=5)
        assert "error" not in json.loads(answer.data)


ANOTHERS = {
    "what another wrote for the agent": ("concierge", "textstats"),
    "what the caller wrote for another": ("ops", "greeter"),
    "what the agent wrote for another": ("textstats", "concierge"),
    "what the agent wrote for the caller": ("textstats", "ops"),
}


@pytest.mark.parametrize(("writer", "reader"), ANOTHERS.values(), ids=ANOTHERS)
async def test_anothers_part_is_refused(fleet_bench: Bench, writer: str, reader: str) -> None:
    """A message that refers to a part which is not from its sender to its receiver reaches no handler, though the part is there."""
    counting = Counting()
    await _put(fleet_bench, writer, reader)
    async with serving(fleet_bench, "textstats", counting.skill):
        calls = await caller(fleet_bench)
        with pytest.raises(InvalidArgument, match=r"message.parts\[0\].url refers to a part that is not from ops"):
            await calls.send_message("textstats", carrying(referring(writer, reader)))
        task = await calls.send_message("textstats", carrying(referring(writer, reader), return_immediately=True))
        assert task.task is not None
        found = await ended(calls, task.task.id)
    assert found.status.state == a2a.REJECTED
    assert counting.runs == {}


async def test_an_answer_with_anothers_part_is_refused(fleet_bench: Bench) -> None:
    """An agent that answers with a reference to a part which another agent wrote for the caller is not believed."""
    await _put(fleet_bench, "greeter", "ops")
    agent = await fleet_bench.attacker("textstats")
    answer = a2a.Message(message_id="1", role="ROLE_AGENT", parts=(referring("greeter", "ops"),))

    async def lie(message: Any) -> None:
        body = protojson.encode(a2a.SendMessageResponse(message=answer))
        await agent.client.publish(message.reply, body, headers={"A2A-Version": "1.0"})

    await agent.client.subscribe("a2a.v1.req.textstats.*.*", queue="textstats", cb=lie)
    await agent.client.flush()
    with pytest.raises(InvalidAgentResponse, match="not from textstats to ops"):
        await (await caller(fleet_bench)).send_message("textstats", saying("a"))


async def test_the_server_gives_a_part_to_its_reader_only(fleet_bench: Bench) -> None:
    """Whoever asks for a part that was written for another gets what one that is not there gives, patterns included."""
    await _put(fleet_bench, "ops", "textstats")
    reader = await fleet_bench.attacker("textstats", names.OWN_CREDENTIAL)
    found = await reader.client.request("part.get.OBJ_ops.ops.abc.1", timeout=5)
    assert found.data == TEXT
    for other in ("greeter", "ops"):
        own = await fleet_bench.attacker(other, names.OWN_CREDENTIAL)
        for subject in ("part.get.OBJ_ops.ops.abc.1", "part.get.OBJ_ops.*.*.*", "part.get.OBJ_ops.ops.*.1"):
            answer = await own.client.request(subject, timeout=5)
            assert ((answer.headers or {}).get("Status"), answer.data) == ("404", b""), subject
        answer = await own.client.request("part.get.OBJ_ops.ops.abc.1", b'{"next_by_subj": ">"}', timeout=5)
        assert ((answer.headers or {}).get("Status"), answer.data) == ("408", b"")


async def test_what_is_written_is_the_writers(fleet_bench: Bench) -> None:
    """The server names the writer: what two of them put under one subject lies in the bucket of each."""
    for writer, text in (("ops", b"of ops"), ("greeter", b"of greeter")):
        await _put(fleet_bench, writer, "textstats", "abc", text)
    reader = await fleet_bench.attacker("textstats", names.OWN_CREDENTIAL)
    for writer, text in (("ops", b"of ops"), ("greeter", b"of greeter")):
        assert (await reader.client.request(f"part.get.OBJ_{writer}.{writer}.abc.1", timeout=5)).data == text
        crossed = await reader.client.request(f"part.get.OBJ_{writer}.concierge.abc.1", timeout=5)
        assert (crossed.headers or {}).get("Status") == "404"


UNBELIEVABLE: dict[str, tuple[tuple[bytes, ...], dict[str, Any], type[Exception]]] = {
    "another digest": ((b"hello earth",), {}, InvalidArgument),
    "more than it says": ((TEXT, b"!"), {"chunks": 2}, InvalidArgument),
    "less than it says": ((b"hello",), {}, InvalidArgument),
    "no text": ((b"\xff" * 11,), {"sha256": sha256_hex(b"\xff" * 11)}, InvalidArgument),
    "no JSON": ((TEXT,), {"kind": "data"}, InvalidArgument),
    "a chunk that is missing": ((TEXT,), {"chunks": 2}, PartNotFound),
    "a size over the limit": ((TEXT,), {"size": names.MAX_PART_BYTES + 1}, InvalidArgument),
    "more JSON than is read": ((TEXT,), {"kind": "data", "size": names.MAX_DATA_PART_BYTES + 1}, InvalidArgument),
    "a size below nothing": ((TEXT,), {"size": -1}, InvalidArgument),
    "too many chunks": ((TEXT,), {"chunks": 1025}, InvalidArgument),
    "no digest": ((TEXT,), {"sha256": "x"}, InvalidArgument),
    "another kind": ((TEXT,), {"kind": "url"}, InvalidArgument),
}


async def test_content_that_is_not_what_the_reference_says_is_refused(fleet_bench: Bench) -> None:
    """Whatever differs from size, digest, kind and count, or is out of bounds, is a named error and reaches no handler."""
    counting, calls = Counting(), await caller(fleet_bench)
    async with serving(fleet_bench, "textstats", counting.skill):
        for number, (chunks, changes, error) in enumerate(UNBELIEVABLE.values()):
            await _put(fleet_bench, "ops", "textstats", f"part{number}", *chunks)
            part = referring("ops", "textstats", f"part{number}", **changes)
            with pytest.raises(error, match=r"message.parts\[0\]"):
                await calls.send_message("textstats", carrying(part))
    assert counting.runs == {}


MALFORMED = {
    "no id": a2a.Part(url=parts.SCHEME + "ops:textstats"),
    "an id with a dot": referring("ops", "textstats", "abc.1"),
    "a wildcard": referring("ops", "textstats", "*"),
    "nothing stored": a2a.Part(url=parts.SCHEME + "ops:textstats:abc"),
    "no object": a2a.Part(url=parts.SCHEME + "ops:textstats:abc", metadata={a2a.LARGE_PARTS_URI: 5}),
}


async def test_a_malformed_reference_is_refused(fleet_bench: Bench) -> None:
    """A reference that cannot be read is the sender's error, with its place in the message."""
    calls = await caller(fleet_bench)
    async with serving(fleet_bench, "textstats", endless):
        for part in MALFORMED.values():
            with pytest.raises(InvalidArgument, match=r"message.parts\[0\]"):
                await calls.send_message("textstats", carrying(part))


async def test_many_references_are_refused(fleet_bench: Bench) -> None:
    """A message with more large parts than one may have, or with more bytes in them, is refused before any is read."""
    async with serving(fleet_bench, "textstats", endless):
        calls = await caller(fleet_bench)
        for given in (
            [referring("ops", "textstats")] * 101,
            [referring("ops", "textstats", size=names.MAX_PART_BYTES)] * 2,
        ):
            with pytest.raises(InvalidArgument, match="has more than"):
                await calls.send_message("textstats", carrying(*given))


async def test_a_part_that_has_expired_is_not_found(fleet_bench: Bench) -> None:
    """A part is there for as long as its writer said, and then a named error tells to send it again."""
    own = await fleet_bench.connect("ops", names.OWN_CREDENTIAL)
    reference = await PartStore("ops", always(own)).put("textstats", "text", TEXT, keep_s=1)
    request = carrying(parts.refer(a2a.Part(text=""), reference))
    calls = await caller(fleet_bench)

    async def is_gone() -> bool:
        try:
            await calls.send_message("textstats", request)
        except PartNotFound as error:
            return "send the message again" in error.message
        return False

    async with serving(fleet_bench, "textstats", Counting().skill):
        await until(is_gone)


async def test_what_a_task_has_lost_stays_a_reference(fleet_bench: Bench) -> None:
    """A task can be looked at after a large result of it is gone: the rest is there, and the reference says what it was."""
    admin = await administrator(fleet_bench, names.ACCOUNT_PARTS)
    calls = await caller(fleet_bench)
    async with serving(fleet_bench, "textstats", endless):
        task = await calls.leave_task("textstats", saying("a"))
        assert (await ended(calls, task)).artifacts[0].parts[0].text == "x" * 2_000_000
        await admin.request("$JS.API.STREAM.PURGE.OBJ_textstats", timeout_s=5)
        found = await calls.get_task("textstats", task)
        assert found.status.state == a2a.COMPLETED
        assert found.artifacts[0].parts[0].metadata[a2a.LARGE_PARTS_URI]["size"] == 2_000_000
        with pytest.raises(PartNotFound):
            _ = [response async for response in calls.subscribe_to_task("textstats", task, last_event=1)]


async def test_a_url_of_somebody_else_is_left_alone(fleet_bench: Bench) -> None:
    """No address is ever fetched: a handler sees the `url` that was sent, whatever scheme it has."""
    heard = asyncio.Event()

    async def on_connection(_: Any, writer: asyncio.StreamWriter) -> None:
        heard.set()
        writer.close()

    web = await asyncio.start_server(on_connection, "127.0.0.1", 0)
    port = web.sockets[0].getsockname()[1]
    given = tuple(
        a2a.Part(url=url, metadata=referring("ops", "textstats").metadata)
        for url in (f"http://127.0.0.1:{port}/x", "file:///etc/passwd", "urn:other:part:ops:textstats:abc")
    )
    kept: list[tuple[a2a.Part, ...]] = []

    @skill(description="Keeps what it was sent.")
    async def keep(request: str, ctx: Context) -> str:
        kept.append(ctx.message.parts[1:])
        return "kept"

    async with web, serving(fleet_bench, "textstats", keep):
        await (await caller(fleet_bench)).send_message("textstats", carrying(a2a.Part(text="a"), *given))
    assert kept == [given]
    assert not heard.is_set()


async def test_a_full_bucket_is_a_clear_error_and_loses_nothing(tmp_path: Path) -> None:
    """An agent without room for its answer says so to its caller; what it stored before stays, and small answers go on."""

    def small(fleet: dict[str, Any]) -> None:
        fleet["agents"]["textstats"] = {**(fleet["agents"].get("textstats") or {}), "parts_mb": 3}

    async with bench(tmp_path, small) as tight, serving(tight, "textstats", endless, Counting().skill):
        calls = await caller(tight)
        task = await calls.leave_task("textstats", saying("a"))
        await ended(calls, task)
        with pytest.raises(Unavailable, match="no room for large parts of textstats"):
            await calls.send_message("textstats", saying("a"))
        assert (await calls.get_task("textstats", task)).artifacts[0].parts[0].text == "x" * 2_000_000
        assert (await calls.send_message("textstats", saying("a", skill="counted"))).message is not None


async def test_without_an_own_account_nothing_large_is_sent_or_read(fleet_bench: Bench) -> None:
    """A caller that was given no way to large parts refuses them before sending, and gets answers as references."""
    calls = Caller(await fleet_bench.connect("ops"), "ops")
    await calls.start()
    async with serving(fleet_bench, "textstats", endless):
        with pytest.raises(PayloadTooLarge):
            await calls.send_message("textstats", saying("x" * 2_000_000))
        answer = await calls.send_message("textstats", saying("a"))
    assert answer.message is not None
    assert parts.is_reference(answer.message.parts[0])


async def test_a_missing_key_is_named_when_it_is_needed(fleet_bench: Bench) -> None:
    """An operator whose second key is not there is told so by the first large part, not before."""
    (fleet_bench.home.credentials("ops") / names.OWN_CREDENTIAL).unlink()
    own = OwnAccount(await fleet_bench.connect("ops"))
    with pytest.raises(CredentialMissing, match="agentbus provision"):
        await PartStore("ops", own).put("textstats", "raw", TEXT, keep_s=60)
    await own.close()


async def test_the_tools_of_nats_can_read_a_bucket(fleet_bench: Bench) -> None:
    """With an administrator's rights a part is an object of the writer's bucket, whole and with its digest checked."""
    await administrator(fleet_bench, names.ACCOUNT_PARTS)
    own = await fleet_bench.connect("ops", names.OWN_CREDENTIAL)
    content = bytes(range(256)) * 8192
    reference = await PartStore("ops", always(own)).put("textstats", "raw", content, keep_s=60)
    seed = fleet_bench.home.root / "test-admin" / names.ACCOUNT_PARTS
    admin = await nats.connect(fleet_bench.url, nkeys_seed=str(Credential(seed).path))
    found = await (await admin.jetstream().object_store("ops")).get(reference.part)
    await admin.close()
    assert found.data == content
    assert found.info.size == len(content)


async def test_the_trail_has_digests_and_no_content(fleet_bench: Bench) -> None:
    """Events about large messages are as small as others: the payload's digest, which covers that of each part."""
    async with serving(fleet_bench, "textstats", endless) as agent:
        calls = await caller(fleet_bench)
        await calls.send_message("textstats", saying("secret " * 300_000))
        events = await trail(fleet_bench, agent)
    assert {"request.received", "request.answered"} <= {event.short_type for event in events}
    assert all(b"secret" not in protojson.encode(event) for event in events)
    assert all(len(protojson.encode(event)) < 4096 for event in events)


async def test_a_message_that_leaves_a_task_no_room_is_refused(fleet_bench: Bench) -> None:
    """A plain client's message as large as the server takes does not begin a task that could never be saved."""
    counting = Counting()
    payload = protojson.encode(saying("x" * 1_000_000, return_immediately=True))
    async with serving(fleet_bench, "textstats", counting.skill):
        plain = await fleet_bench.attacker("ops")
        version = {"A2A-Version": "1.0"}
        asked = "a2a.v1.req.textstats.ops.SendMessage"
        answer = json.loads((await plain.client.request(asked, payload, timeout=5, headers=version)).data)
        ack = await plain.client.request("a2a.v1.task.textstats.ops", payload, timeout=5, headers=version)
        found = await ended(await caller(fleet_bench), f"task-{json.loads(ack.data)['seq']}")
    assert answer["error"]["details"][0]["reason"] == "INVALID_ARGUMENT"
    assert found.status.state == a2a.REJECTED
    assert found.status.message is not None
    assert "large parts" in found.status.message.text()
    assert counting.runs == {}


async def test_a_task_with_a_large_plain_message_can_give_results(fleet_bench: Bench) -> None:
    """What a plain client sends inside its message leaves room: the results are then stored beside the task."""

    @skill(description="Gives an eighth of its input back.")
    async def eighth(request: str, ctx: Context) -> str:
        return request[: len(request) // 8]

    payload = protojson.encode(saying("x" * 900_000))
    async with serving(fleet_bench, "textstats", eighth):
        plain = await fleet_bench.attacker("ops")
        ack = await plain.client.request(
            "a2a.v1.task.textstats.ops", payload, timeout=5, headers={"A2A-Version": "1.0"}
        )
        found = await ended(await caller(fleet_bench), f"task-{json.loads(ack.data)['seq']}")
    assert found.status.state == a2a.COMPLETED
    assert found.artifacts[0].parts[0].text == "x" * 112_500
