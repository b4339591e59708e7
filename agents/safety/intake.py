"""The limits of a message to a model, checked before anything is paid for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
from msgspec import UNSET

from schemas.a2a import Message, Part
from schemas.agent import Safety
from schemas.errors import FieldViolation, InvalidArgument


class Intake:
    """Looks at what a caller sends, by the settings of one agent."""

    def __init__(self, settings: Safety) -> None:
        self._settings = settings

    def check(self, message: Message) -> None:
        """Let a message pass that is within the limits.

        Raises:
            InvalidArgument: it is not; every limit that it exceeds is named, with what it has and what it may have.
        """
        wrong = tuple(self._violations(message.parts))
        if wrong:
            raise InvalidArgument(f"{wrong[0].field}: {wrong[0].description}", violations=wrong)

    def _violations(self, parts: Sequence[Part]) -> Iterator[FieldViolation]:
        most = self._settings
        chars = sum(map(_chars, parts))
        if chars > most.max_input_chars:
            yield FieldViolation("message.parts", f"{chars} characters; at most {most.max_input_chars} are taken")
        files = [(number, part) for number, part in enumerate(parts) if _is_attachment(part)]
        if len(files) > most.max_attachments:
            yield FieldViolation("message.parts", f"{len(files)} attachments; at most {most.max_attachments} are taken")
        for number, part in files:
            yield from self._file_violations(f"message.parts[{number}]", part)

    def _file_violations(self, where: str, part: Part) -> Iterator[FieldViolation]:
        most = self._settings
        size = len(part.raw) if isinstance(part.raw, bytes) else 0
        if size > most.max_attachment_bytes:
            yield FieldViolation(where, f"{size} bytes; at most {most.max_attachment_bytes} are taken")
        kind = part.media_type.partition(";")[0].strip().lower()
        if not any(_fits(kind, allowed) for allowed in most.attachment_types):
            known = ", ".join(most.attachment_types) or "none"
            yield FieldViolation(where, f"media type {kind[:70] or '(none)'!r}; taken are: {known}")


def _chars(part: Part) -> int:
    if isinstance(part.text, str):
        return len(part.text)
    return len(msgspec.json.encode(part.data).decode()) if part.data is not UNSET else 0


def _is_attachment(part: Part) -> bool:
    return isinstance(part.raw, bytes) or isinstance(part.url, str)


def _fits(kind: str, allowed: str) -> bool:
    family, _, member = allowed.partition("/")
    return kind.startswith(f"{family}/") if member == "*" else kind == allowed
