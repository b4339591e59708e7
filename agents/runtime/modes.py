"""The media types of A2A: what an agent's skills take, and what a caller takes of them.

A part is judged by the `mediaType` that it names; one that names none is judged by its type alone, later.
Types are compared without case and parameters. `application/octet-stream` in a card is bytes of any type.

Source: A2A v1.0 §3.1.1 and §3.3.2 (ContentTypeNotSupportedError), §3.2.2 (`acceptedOutputModes`), §4.4.5.
"""

from __future__ import annotations

from schemas import a2a, names
from schemas.errors import ContentTypeNotSupported, FieldViolation

_ANY_BYTES = "application/octet-stream"


class Modes:
    """Of one agent, as its card has them."""

    def __init__(self, card: a2a.AgentCard) -> None:
        self._takes = {skill.id: skill.input_modes or card.default_input_modes for skill in card.skills}
        self._gives = {skill.id: skill.output_modes or card.default_output_modes for skill in card.skills}
        self._first = card.skills[0].id if card.skills else ""
        self._default = card.default_input_modes, card.default_output_modes
        every = [*card.default_input_modes, *(mode for modes in self._takes.values() for mode in modes)]
        self._taken_by_any = tuple(dict.fromkeys(every))

    def require(self, request: a2a.SendMessageRequest) -> None:
        """Return when the skill takes what is sent, and the caller what the skill gives.

        A further message to a task is for the skill that the task runs: there, what any skill takes will do. A skill
        that does not exist is for others to refuse.

        Raises:
            ContentTypeNotSupported: it does not; names the part, or `acceptedOutputModes`, and the types that would do.
        """
        message = request.message
        skill = str(message.metadata.get(names.SKILL_KEY, self._first))
        if skill and skill not in self._takes:
            return
        takes = self._taken_by_any if message.task_id else self._takes.get(skill, self._default[0])
        # what stands beside a part that is taken is an attachment, which a skill finds in the message's parts
        if not any(not part.media_type or _is_taken(part.media_type, takes) for part in message.parts):
            raise _refused("message.parts[0].mediaType", f"{message.parts[0].media_type[:70]} is sent", takes)
        accepted = request.configuration.accepted_output_modes
        gives = self._gives.get(skill, self._default[1])
        if accepted and not message.task_id and not any(_is_accepted(mode, accepted) for mode in gives):
            raise _refused("configuration.acceptedOutputModes", "none of them is what the skill gives", gives)


def _is_taken(kind: str, modes: tuple[str, ...]) -> bool:
    return _ANY_BYTES in modes or kind in modes or any(_is_within(kind, mode) for mode in modes)


def _is_accepted(mode: str, accepted: tuple[str, ...]) -> bool:
    return mode == _ANY_BYTES or any(_is_within(mode, kind) for kind in accepted)


def _is_within(kind: str, wanted: str) -> bool:
    """`wanted` may be a range: `text/*`, `*/*`."""
    kind, wanted = _essence(kind), _essence(wanted)
    return wanted in {kind, "*/*"} or (wanted.endswith("/*") and kind.startswith(wanted[:-1]))


def _essence(media_type: str) -> str:
    return media_type.partition(";")[0].strip().lower()


def _refused(field: str, what: str, modes: tuple[str, ...]) -> ContentTypeNotSupported:
    known = ", ".join(modes)
    return ContentTypeNotSupported(
        f"{field}: {what}; supported: {known}", violations=(FieldViolation(field, f"supported: {known}"),)
    )
