"""What of `tracestate` is carried on: the rules of W3C Trace Context, as a table."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.trace_state import MOST_CHARACTERS, MOST_MEMBERS, carried

_LARGE = "big=" + "x" * 140
_SMALL = ",".join(f"k{number:02}={'y' * 26}" for number in range(15))  # 15 members of 30: 464 characters


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("a=1", "a=1"),
        ("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"),
        ("a=1 ,\t b=2", "a=1,b=2"),
        ("a=1,,b=2,", "a=1,b=2"),
        ("tenant@system=x", "tenant@system=x"),
        ("9tenant@system=x", "9tenant@system=x"),
        ("a= b c", "a= b c"),
        ("a*/_-=!~<>", "a*/_-=!~<>"),
        ("", ""),
        ("a", ""),
        ("=1", ""),
        ("a=", ""),
        ("A=1", ""),
        ("1a=1", ""),
        ("a=1=2", ""),
        ("a@=1", ""),
        ("a@1b=1", ""),
        ("a=é", ""),
        ("a=\x7f", ""),
        ("a=1,B=2", ""),
        ("a=1,a=2", ""),
        ("k" * 256 + "=1", "k" * 256 + "=1"),
        ("k" * 257 + "=1", ""),
        ("k=" + "v" * 256, "k=" + "v" * 256),
        ("k=" + "v" * 257, ""),
        ("t" * 241 + "@" + "s" * 14 + "=1", "t" * 241 + "@" + "s" * 14 + "=1"),
        ("t" * 242 + "@s=1", ""),
        ("t@" + "s" * 15 + "=1", ""),
        (",".join(f"k{n}=1" for n in range(MOST_MEMBERS)), ",".join(f"k{n}=1" for n in range(MOST_MEMBERS))),
        (",".join(f"k{n}=1" for n in range(MOST_MEMBERS + 1)), ""),
        (f"{_LARGE},{_SMALL}", _SMALL),
        (f"{_SMALL},last={'z' * 60}", _SMALL),
    ],
)
def test_what_is_carried(header: str, expected: str) -> None:
    """A list is carried as it is; one bad member makes it nothing; what is too long loses whole members."""
    assert carried(header) == expected


@given(st.text(alphabet=" \t,=@*abA1-é\r\n", max_size=600))
def test_whatever_comes_is_safe_to_send(header: str) -> None:
    """The result stands on one line within the limits, and reading it again changes nothing."""
    kept = carried(header)
    assert len(kept) <= MOST_CHARACTERS
    assert kept.isprintable()
    assert carried(kept) == kept
