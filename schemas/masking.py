"""Values that stand under a name which says that they are secret, and those whose form says so: how texts lose them.

    masked_text("401: api_key=abc123 is not known")       # 401: api_key=[redacted] is not known
    masked({"headers": [("Authorization", "Bearer abc")]})  # {"headers": [("Authorization", "[redacted]")]}

Guarantees: of a value behind a name like `password`, `api_key` or `Authorization`, as a key of nested values or in a
text before `=`, `:` and the like, nothing is left, quoted or not, in JSON inside a text, as base64 of all of it, nor
where the name ends one text and the value is the next. What has the form of a known key (`schemas.secret_forms`) goes
under any name. Where it is not clear how far a value goes, more goes than it. Other texts are left as they are.
Not guaranteed: values under other names, in sentences ("the password is"), and other encodings; of registered values
(`schemas.redaction`) those are found.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from schemas.redaction import REDACTED
from schemas.secret_forms import FORMS

MAX_LOOKED_AT: Final = 16_384
"""Characters of a text in which something may have to be masked; what is behind them is not kept."""
MAX_DEPTH: Final = 8
MAX_ITEMS: Final = 1000
"""Of nested values; what is deeper or behind them is not kept."""
NOT_KEPT: Final = "[not kept]"

_WORDS = (
    r"(?:password|passwd|passphrase|pwd|secret|token|(?:api|access|private|secret|signing|encryption)[_.-]?key"
    r"|authorization|cookie|(?<![a-z])seed)(?:[_-]?\d{1,3})?"
)
_NAME = re.compile(rf"{_WORDS}\Z", re.IGNORECASE)
_BEGUN = (
    r"(?:(?:\\{0,7}[\"'`])?\]?\s{0,8}(?:=>|:=|==|=|:|%3[ad])"  # name=value, "name": value, x["name"] = value
    r"|\\{0,7}[\"'`]\s{0,8},"  # ("name", "value")
    r"|>)"  # <name>value</name>
    r"\s{0,8}"
)
_SCHEME = r"(?:(?:bearer|basic|digest|negotiate|token|apikey)\s{1,8})?"
_OPTION = rf"(?<!-)--(?!-)[\w.-]{{0,40}}?{_WORDS}"
_VALUE = (
    r"(?:\w{1,40}\s{0,8}=\s{0,8}|[|>][+-]?\s{1,8})?"  # a type before it, or the sign of YAML's blocks
    rf"{_SCHEME}(?:\[redacted\](?![^\s,;&}}\])\\\"'`.:])"
    r"|[bruf]{0,2}(?P<quote>\\{0,7}[\"'`]).*?(?<!\\)(?P=quote)(?:(?P=quote).*?(?<!\\)(?P=quote))*"
    r"(?:[^\s,;&}\])\\\"'`]\S*)?"
    r"|[bruf]{0,2}\\{0,7}[\"'`\[{(].*"  # no end, or other brackets in it: to the end of the text
    r"|\S+)"
)
_NAMED = re.compile(rf"(?P<name>{_WORDS}{_BEGUN}|{_OPTION}\s{{1,8}}){_VALUE}", re.IGNORECASE | re.DOTALL)
_HEADER = re.compile(
    rf"(?P<name>(?:cookie2?|authorization)\s{{0,8}}[:=]\s{{0,8}}){_VALUE}[^\r\n]*", re.IGNORECASE | re.DOTALL
)
"""Such a value has spaces in it: it goes to the end of its line."""
_SCHEMED = re.compile(r"\b(?P<name>(?:bearer|basic)\s{1,8})(?=\S*\d|\S{20})\S{8,}", re.IGNORECASE)
_BLOCK = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z0-9 ]{0,60}-----|\Z)", re.DOTALL
)
_OPEN = re.compile(
    rf"(?:{_WORDS}{_BEGUN}{_SCHEME}|{_OPTION}\s{{0,8}}|\bbearer\s{{0,8}})(?:\\{{0,7}}[\"'`])?\Z", re.IGNORECASE
)
"""The end of a text whose value is in the next one."""
_LONGEST_NAME: Final = 200
_PARTS = ("passw", "passphrase", "pwd", "secret", "token", "key", "authorization", "cookie", "seed")
"""One of them is in every name."""
SHORTEST_RUN: Final = 15
_RUN = re.compile(r"[A-Za-z0-9+/_-]{15,}")
"""Without a run like this a text holds no key of a known form but a password in an address, and no base64 of a name
and its value."""
_ENCODED = re.compile(rf"{_RUN.pattern}={{0,2}}")
_STANDARD = str.maketrans("-_", "+/")


def names_a_secret(name: str) -> bool:
    """Whether what stands under this name is a secret, whatever it is: `api_key`, `db_password`, `Authorization`."""
    return _NAME.search(name) is not None


def may_name_one(text: str) -> bool:
    """Whether `text`, which may be texts joined, may hold a secret with its name; where not, that cost next to nothing."""
    lower = text.lower()
    if "bearer" in lower or "basic" in lower:
        return True
    if not ("=" in text or ":" in text or "," in text or ">" in text or "--" in text or "%" in text):
        return False
    for part in _PARTS:  # noqa: SIM110  any() would cost more than the search
        if part in lower:
            return True
    return False


def may_be_one(text: str) -> bool:
    """Whether `text` may hold a secret that is known by its form, or one in base64 with its name."""
    if "@" in text and "://" in text:
        return True
    for run in _RUN.findall(text):  # noqa: SIM110  any() would cost more
        if _is_random(run):
            return True
    return False


def masked_text(text: str, limit: int = MAX_LOOKED_AT) -> str:
    """`text` without the values that must not be in it, and without what is behind `limit`; itself when it has none."""
    is_named, is_known = may_name_one(text), may_be_one(text)
    if not (is_named or is_known):
        return text
    without = _begin_of(text, limit)
    if is_named:
        without = _BLOCK.sub(REDACTED, without)
    if is_known:
        for _, form in FORMS:
            without = form.sub(REDACTED, without)
    if is_named:
        for form in (_HEADER, _NAMED, _SCHEMED):
            without = form.sub(rf"\g<name>{REDACTED}", without)
    return _ENCODED.sub(_unless_it_names, without) if is_known else without


def masked_texts(texts: Sequence[str], limit: int = MAX_LOOKED_AT) -> list[str]:
    """`masked_text` of each; of texts that follow each other, so that a value is found behind the text that names it."""
    found, is_open = [], False
    for text in texts:
        found.append(REDACTED if is_open and text else masked_text(text, limit))
        is_open = _ends_open(text) if text else is_open
    return found


def masked(value: Any) -> Any:
    """A plain value, whatever is nested in it, without secrets; what is no plain value becomes text if it has any."""
    return _Walk().masked(value, MAX_DEPTH)


class _Walk:
    def __init__(self) -> None:
        self._left = MAX_ITEMS

    def masked(self, value: Any, depth: int) -> Any:
        self._left -= 1
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, str):
            return masked_text(value)
        if isinstance(value, Mapping | list | tuple | set | frozenset):
            if depth == 0 or self._left < 0:
                return NOT_KEPT
            return self._mapping(value, depth) if isinstance(value, Mapping) else self._items(value, depth)
        shown = repr(value)
        without = masked_text(shown)
        return value if without is shown else without

    def _mapping(self, values: Mapping[Any, Any], depth: int) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for key, value in values.items():
            if self._left < 0:
                found[NOT_KEPT] = len(values) - len(found)
                break
            is_secret = isinstance(key, str | bytes) and names_a_secret(_text(key))
            found[self._key(key)] = REDACTED if is_secret else self.masked(value, depth - 1)
        return found

    def _key(self, key: Any) -> Any:
        return masked_text(key) if isinstance(key, str) else key

    def _items(self, values: Any, depth: int) -> list[Any] | tuple[Any, ...]:
        found, is_open = [], False
        for value in values:
            if self._left < 0:
                found.append(NOT_KEPT)
                break
            found.append(REDACTED if is_open else self.masked(value, depth - 1))
            is_open = isinstance(value, str | bytes) and (names_a_secret(_text(value)) or _ends_open(_text(value)))
        return tuple(found) if isinstance(values, tuple) else found


def _is_random(run: str) -> bool:
    """Words that are joined to names and paths, all in small or all in large letters, are no keys and no base64."""
    if run.islower():
        return bool(
            [part for part in run.split("/") if len(part) >= SHORTEST_RUN and not part.replace("_", "").isalpha()]
        )
    return not run.isupper() or not run.replace("_", "").isalpha()


def _begin_of(text: str, limit: int) -> str:
    """Whole words of it: the begin of a secret would not be known for what it is."""
    if len(text) <= limit:
        return text
    return text[: max(text.rfind(" ", 0, limit), text.rfind("\n", 0, limit)) + 1] + NOT_KEPT


def _ends_open(text: str) -> bool:
    return may_name_one(text) and _OPEN.search(text[-_LONGEST_NAME:]) is not None


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode(errors="replace")


def _unless_it_names(run: re.Match[str]) -> str:
    """The run as it is, unless what is encoded in it from one of four places on has a name and its value in it."""
    text = run[0].rstrip("=").translate(_STANDARD)
    for begin in range(4):
        part = text[begin:]
        part = part[: len(part) - (len(part) % 4 == 1)]
        decoded = base64.b64decode(part + "=" * (-len(part) % 4)).decode("latin-1")
        if may_name_one(decoded) and any(form.search(decoded) for form in (_HEADER, _NAMED, _BLOCK)):
            return REDACTED
    return run[0]
