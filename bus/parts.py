"""Large parts of messages, on both sides: out of the message before it is sent, and back in before it is read.

What is sent has references in their place (`schemas.parts`), so a task's snapshot, its updates and the durable
message hold references too. Only references with our scheme are resolved; any other `url` is the user's, and nothing
is ever fetched from it.
"""

from __future__ import annotations

from typing import Final, cast

import msgspec
import structlog

from bus.part_store import Connect, PartStore
from schemas import a2a, names, parts, protojson
from schemas.errors import InvalidAgentResponse, InvalidArgument, PartNotFound, PayloadTooLarge

_log = structlog.get_logger("bus")
MARK: Final = parts.SCHEME.encode()
"""A payload without it has no references."""
HOUR_S: Final = 3600
WEEK_S: Final = 7 * 24 * HOUR_S
MONTH_S: Final = 30 * 24 * HOUR_S
SMALL_BYTES: Final = 4 * 1024
"""What is smaller always stays in its message."""
LARGE_BYTES: Final = 128 * 1024
"""What is larger never stays in a task."""
MUCH_BYTES: Final = 512 * 1024
"""A message with more has references for what is not small: a task that begins with it must have room for its answer."""
_MOST_REFERENCES = 100


def large_parts(owner: str, connect: Connect) -> LargeParts:
    """What `owner` sends and receives over its own account."""
    return LargeParts(PartStore(owner, connect))


class LargeParts:
    """The large parts that `store.owner` sends and receives."""

    def __init__(self, store: PartStore) -> None:
        self._store = store

    async def lighter(
        self, given: tuple[a2a.Part, ...], reader: str, *, over: int, keep_s: int
    ) -> tuple[a2a.Part, ...]:
        """The parts, with a reference in the place of each whose content has more than `over` bytes.

        Raises:
            PayloadTooLarge: one is over the limit. Unavailable: it cannot be stored.
        """
        return tuple([await self._stored(part, reader, over, keep_s) for part in given])

    async def lighter_request(self, agent: str, request: a2a.A2AObject, *, keep_s: int) -> a2a.A2AObject:
        """The same for a message to `agent`; what is no message is returned as it is."""
        if not isinstance(request, a2a.SendMessageRequest):
            return request
        return msgspec.structs.replace(request, message=await self._lighter_message(request.message, agent, keep_s))

    async def lighter_answer(self, caller: str, answer: a2a.A2AObject) -> a2a.A2AObject:
        """The same for an answer to `caller` that is a message; a task's parts were stored when they were given.

        Raises:
            InvalidAgentResponse: a part is over the limit. Unavailable: it cannot be stored.
        """
        if not isinstance(answer, a2a.SendMessageResponse) or answer.message is None:
            return answer
        try:
            return msgspec.structs.replace(answer, message=await self._lighter_message(answer.message, caller, HOUR_S))
        except PayloadTooLarge as error:
            raise InvalidAgentResponse(f"the answer cannot be sent: {error}") from None

    async def _lighter_message(self, message: a2a.Message, reader: str, keep_s: int) -> a2a.Message:
        light = await self.lighter(message.parts, reader, over=SMALL_BYTES, keep_s=keep_s)
        return msgspec.structs.replace(message, parts=light)

    def size_of(self, message: a2a.Message, writer: str) -> int:
        """How many bytes the references in a message stand for; raises as `whole_message`."""
        found = self._references(message.parts, writer, "message.parts")
        return sum(reference.stored.size for reference in found.values())

    async def whole_message(self, message: a2a.Message, writer: str) -> a2a.Message:
        """A message that `writer` sent, with the content in the place of its references.

        Raises:
            InvalidArgument: a reference is malformed, over the limits, another's, or its content is another.
            PartNotFound: the content is not there (any more). Unavailable: it cannot be read now.
        """
        whole = await self._whole(message.parts, writer, "message.parts")
        return message if whole is message.parts else msgspec.structs.replace(message, parts=whole)

    async def whole_answer[T](self, answer: T, agent: str) -> T:
        """What `agent` answered, with the content in the place of its references.

        Those in a task's history stay, since the caller sent that itself; so do all of a list of tasks,
        and what has expired of a task that is looked at.

        Raises:
            InvalidAgentResponse: as InvalidArgument above. PartNotFound, Unavailable: as above.
        """
        try:
            return cast(T, await self._whole_answer(answer, agent))
        except InvalidArgument as error:
            raise InvalidAgentResponse(f"{agent} answered with a large part that cannot be taken: {error}") from None

    async def _whole_answer(self, answer: object, agent: str) -> object:
        if isinstance(answer, a2a.Message):
            return await self.whole_message(answer, agent)
        if isinstance(answer, a2a.Task):
            return await self._whole_task(answer, agent)
        if isinstance(answer, a2a.TaskArtifactUpdateEvent):
            return msgspec.structs.replace(answer, artifact=await self._whole_artifact(answer.artifact, agent))
        if isinstance(answer, a2a.SendMessageResponse | a2a.StreamResponse):
            given = {
                name: getattr(answer, name) for name in ("message", "task", "artifact_update") if hasattr(answer, name)
            }
            whole = {name: await self._whole_answer(value, agent) for name, value in given.items() if value is not None}
            return msgspec.structs.replace(answer, **whole)
        return answer

    async def _whole_task(self, task: a2a.Task, agent: str) -> a2a.Task:
        try:
            artifacts = tuple([await self._whole_artifact(artifact, agent) for artifact in task.artifacts])
        except PartNotFound as error:
            _log.info("bus.part_gone", task=task.id, reason=error.message)
            return task
        return msgspec.structs.replace(task, artifacts=artifacts)

    async def _whole_artifact(self, artifact: a2a.Artifact, agent: str) -> a2a.Artifact:
        whole = await self._whole(artifact.parts, agent, f"artifact {artifact.artifact_id[:70]!r} parts")
        return msgspec.structs.replace(artifact, parts=whole)

    async def _stored(self, part: a2a.Part, reader: str, over: int, keep_s: int) -> a2a.Part:
        found = parts.content_of(part)
        if found is None or len(found[1]) <= over:
            return part
        return parts.refer(part, await self._store.put(reader, *found, keep_s=keep_s))

    async def _whole(self, given: tuple[a2a.Part, ...], writer: str, where: str) -> tuple[a2a.Part, ...]:
        """The same parts when there is no reference among them."""
        found = self._references(given, writer, where)
        whole = list(given)
        for number, reference in found.items():
            place = f"{where}[{number}]"
            whole[number] = parts.restored(given[number], reference, await self._store.get(reference, place), place)
        return tuple(whole) if found else given

    def _references(self, given: tuple[a2a.Part, ...], writer: str, where: str) -> dict[int, parts.Reference]:
        """The references among these parts by their numbers, when one message may have so many of such a size."""
        found = {
            number: parts.read_reference(part, writer=writer, reader=self._store.owner, where=f"{where}[{number}]")
            for number, part in enumerate(given)
            if parts.is_reference(part)
        }
        total = sum(reference.stored.size for reference in found.values())
        if len(found) > _MOST_REFERENCES or total > names.MAX_PART_BYTES:
            limits = f"{_MOST_REFERENCES} large parts with {names.MAX_PART_BYTES} bytes together"
            raise InvalidArgument(f"{where} has more than {limits}; send several messages")
        return found


async def payload_of(large: LargeParts | None, agent: str, request: a2a.A2AObject, *, keep_s: int = WEEK_S) -> bytes:
    """A request to `agent` in bytes; when there is much of it, and there is a way to, what is large stays beside it."""
    payload = protojson.encode(request)
    if large is None or len(payload) <= MUCH_BYTES:
        return payload
    return protojson.encode(await large.lighter_request(agent, request, keep_s=keep_s))


async def whole_of[T](large: LargeParts | None, agent: str, answer: T) -> T:
    """What `agent` answered, whole where there is a way to what stayed beside it."""
    return await large.whole_answer(answer, agent) if large else answer
