"""What is over the limits of a message is refused before anything is paid for, and every limit is named."""

from __future__ import annotations

import re

import pytest

from agents.safety import Intake
from schemas.a2a import Message, Part
from schemas.agent import Safety
from schemas.errors import InvalidArgument

SMALL = Safety(max_input_chars=10, max_attachments=1, max_attachment_bytes=4, attachment_types=("text/*", "image/png"))


def message(*parts: Part) -> Message:
    """A caller's message."""
    return Message(message_id="m", role="ROLE_USER", parts=parts)


@pytest.mark.parametrize(
    "parts",
    [
        (Part(text="0123456789"),),
        (Part(text="01234"), Part(text="56789")),
        (Part(data={"a": 1}),),
        (Part(raw=b"abcd", media_type="text/csv; charset=utf-8"),),
        (Part(raw=b"abcd", media_type="IMAGE/PNG"),),
    ],
    ids=["text", "texts", "data", "any text", "upper case"],
)
def test_what_is_within_the_limits_passes(parts: tuple[Part, ...]) -> None:
    """Limits are inclusive; parameters of a media type do not count, nor does its case."""
    Intake(SMALL).check(message(*parts))


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ((Part(text="0123456789+"),), "11 characters; at most 10"),
        ((Part(text="01234"), Part(text="567890")), "11 characters"),
        ((Part(data={"a": "0123456"}),), "15 characters"),
        ((Part(raw=b"a", media_type="text/csv"),) * 2, "2 attachments; at most 1"),
        ((Part(raw=b"abcde", media_type="text/csv"),), "5 bytes; at most 4"),
        ((Part(raw=b"a", media_type="application/zip"),), "'application/zip'; taken are: text/., image/png"),
        ((Part(raw=b"a"),), r"\(none\)"),
        ((Part(url="https://example.org/a", media_type="text/html+x/"),) * 2, "2 attachments"),
    ],
    ids=["text", "texts", "data", "attachments", "size", "type", "no type", "addresses"],
)
def test_what_is_over_a_limit_is_refused(parts: tuple[Part, ...], said: str) -> None:
    """The refusal says what the message has and what it may have."""
    with pytest.raises(InvalidArgument) as refused:
        Intake(SMALL).check(message(*parts))
    assert any(re.search(said, violation.description) for violation in refused.value.violations)


def test_all_limits_are_named_at_once() -> None:
    """Who sends too much of everything learns all of it."""
    parts = (Part(text="0123456789+"), Part(raw=b"abcde", media_type="application/zip"))
    with pytest.raises(InvalidArgument) as refused:
        Intake(SMALL).check(message(*parts))
    assert [violation.field for violation in refused.value.violations] == [
        "message.parts",
        "message.parts[1]",
        "message.parts[1]",
    ]
