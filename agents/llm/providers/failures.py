"""From an HTTP error to its cause: one table for every provider, looked through in order.

The error code decides first, because one status means several things (429 is a rate or an empty
account); then words in the message of a 400 or 413, because providers give an overflow no code of its
own; then the status. The message is looked at here and goes no further.

Source: OpenAI and Anthropic API error references; vLLM, llama.cpp and Ollama server sources.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Final

import msgspec

from agents.llm.conversation import Usage
from agents.llm.errors import (
    ContextOverflow,
    KeyRefused,
    LlmError,
    ModelUnknown,
    Overloaded,
    PolicyRefused,
    QuotaExhausted,
    RateExceeded,
    RequestMalformed,
    TimedOut,
    plain,
)


class HttpFailure(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider's error answer says. `codes` from the most exact to the broadest; `message` is not repeated.

    Without a `status` it stood in the stream of an answer that had begun, which may be billed.
    """

    status: int | None = None
    codes: tuple[object, ...] = ()
    message: str = ""
    headers: Mapping[str, str] = {}


_BY_CODE: Final = (
    (re.compile(r"insufficient_quota|billing|spend_limit|organization_on_hold"), QuotaExhausted),
    (re.compile(r"context_length|context_size|context_window"), ContextOverflow),
    (re.compile(r"content_filter|content_policy"), PolicyRefused),
    (re.compile(r"model_not_found"), ModelUnknown),
    (re.compile(r"rate_limit|ramp_limit"), RateExceeded),
    (re.compile(r"overloaded"), Overloaded),
)
_BY_MESSAGE: Final = (
    (re.compile(r"credit balance|usage limits", re.IGNORECASE), QuotaExhausted),
    (
        re.compile(r"prompt is too long|maximum context length|context (window|size|length)", re.IGNORECASE),
        ContextOverflow,
    ),
    (re.compile(r"content (management )?policy|content filter", re.IGNORECASE), PolicyRefused),
)
_BY_STATUS: Final[dict[int, type[LlmError]]] = {
    401: KeyRefused,
    402: QuotaExhausted,
    403: KeyRefused,
    404: ModelUnknown,
    408: TimedOut,
    413: ContextOverflow,
    429: RateExceeded,
    504: TimedOut,
}
_RETURN: Final = re.compile(r"regain access on (\d{4}-\d\d-\d\d)(?: at (\d\d:\d\d) UTC)?")
_LONGEST_S: Final = 86400.0 * 62
_SPEAKING_STATUSES: Final = frozenset({400, 413, 422, None})


def error_of(where: str, failure: HttpFailure) -> LlmError:
    """The error of the class that the answer's code, message and status lead to."""
    error = _kind(failure)(where, _detail(failure), retry_after_s=_retry_after_s(failure))
    if failure.status is None:
        error.usage = Usage()
    return error


def _kind(failure: HttpFailure) -> type[LlmError]:
    for code in failure.codes:
        for pattern, kind in _BY_CODE:
            if isinstance(code, str) and pattern.search(code):
                return kind
    if failure.status in _SPEAKING_STATUSES:
        for pattern, kind in _BY_MESSAGE:
            if pattern.search(failure.message):
                return kind
    status = failure.status or next((code for code in failure.codes if isinstance(code, int)), 500)
    return _BY_STATUS.get(status) or (Overloaded if status >= 500 else RequestMalformed)


def _detail(failure: HttpFailure) -> str:
    codes = [plain(code) for code in failure.codes]
    request = plain(failure.headers.get("x-request-id") or failure.headers.get("request-id"))
    words = [
        f"HTTP {failure.status}" if failure.status else "error in the stream",
        next(filter(None, codes), ""),
        f"request {request}" if request else "",
    ]
    return " ".join(filter(None, words))


def _retry_after_s(failure: HttpFailure) -> float | None:
    """When to come back: what the headers say, or the day that the message names."""
    for name, factor in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = failure.headers.get(name, "")
        with suppress(ValueError):
            return _sensible(float(value) * factor)
        with suppress(ValueError):
            return _until(parsedate_to_datetime(value), failure)
    day = _RETURN.search(failure.message)
    with suppress(ValueError):
        return _until(datetime.fromisoformat(f"{day[1]}T{day[2] or '00:00'}+00:00"), failure) if day else None
    return None


def _until(moment: datetime, failure: HttpFailure) -> float | None:
    """Seconds to `moment` by the provider's own clock, so that ours need not be right."""
    try:
        now = parsedate_to_datetime(failure.headers.get("date", ""))
        return _sensible(max((moment - now).total_seconds(), 0.0))
    except (ValueError, TypeError):  # no such header; or one of the two has no time zone
        return None


def _sensible(seconds: float) -> float | None:
    return seconds if 0 <= seconds < _LONGEST_S else None
