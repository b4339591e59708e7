"""`agentbus top`: a view of the fleet that is drawn again and again, until somebody presses q."""

from __future__ import annotations

import json
import os
import select
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from agents.cli.run import STOPPED, log_quietly
from agents.cli.shown import is_colourful, width_of_terminal
from agents.cli.watching.table import Fleet, Moment, as_json, between, lines
from agents.observing import Place, place_of
from agents.observing.numbers import numbers_of
from schemas.text import harmless

_ALTERNATE, _BACK = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
_HOME, _REST = "\x1b[H", "\x1b[J"
_Asked = Callable[[float], bool]
"""Waits so many seconds; says whether somebody wants it to end."""
_BOLD, _RED, _PLAIN = "\x1b[1m", "\x1b[31m", "\x1b[0m"


@dataclass(frozen=True, slots=True)
class Wanted:
    """How often, how many views (0: until stopped), and for whom."""

    every_s: float
    views: int
    is_json: bool


def top(root: Path, wanted: Wanted) -> None:
    """Show it; exit 3 when nothing runs at the first look."""
    log_quietly()
    place = place_of(root, time.time())
    before = _moment(place) if place.is_known else Moment(0.0, [])
    if all(numbers.word == "down" for numbers in before.numbers):
        print(json.dumps({"running": False}) if wanted.is_json else f"no fleet runs in {place.home.root}")
        raise SystemExit(STOPPED)
    is_live = sys.stdout.isatty() and sys.stdin.isatty() and not wanted.views and not wanted.is_json
    with _screen() if is_live else _plainly() as asked_to_stop:
        for number in _numbers(wanted.views):
            if asked_to_stop(wanted.every_s):
                return
            now = _moment(place)
            _draw(place, between(before, now), wanted, is_live=is_live, is_first=number == 0)
            before = now


def _numbers(views: int) -> Iterator[int]:
    number = 0
    while not views or number < views:
        yield number
        number += 1


def _moment(place: Place) -> Moment:
    return Moment(time.monotonic(), numbers_of(place))


def _draw(place: Place, fleet: Fleet, wanted: Wanted, *, is_live: bool, is_first: bool) -> None:
    if wanted.is_json:
        print(json.dumps(as_json(fleet)), flush=True)
        return
    title = f"{place.fleet.name} at {time.strftime('%H:%M:%S')}"
    shown = [harmless(line) for line in lines(fleet, title, width_of_terminal())]
    if not is_live:
        print("\n".join(["", *shown] if not is_first else shown), flush=True)
        return
    width, height = shutil.get_terminal_size()
    amiss = len(fleet.amiss)
    drawn = [_marked(number, line[:width], amiss) for number, line in enumerate(_cut(shown, height))]
    print(_HOME + "\x1b[K\r\n".join(drawn) + _REST, end="", flush=True)


def _cut(shown: list[str], height: int) -> list[str]:
    """As many lines as the terminal has, the last of them for what is left out and how to leave."""
    room = max(height - 1, 1)
    more = f"{len(shown) - room} more processes; " if len(shown) > room else ""
    return [*shown[:room], f"{more}q ends"]


def _marked(number: int, line: str, amiss: int) -> str:
    if number in (0, 2):
        return f"{_BOLD}{line}{_PLAIN}"
    return f"{_RED}{line}{_PLAIN}" if 3 <= number < 3 + amiss and is_colourful() else line


@contextmanager
def _screen() -> Iterator[_Asked]:
    """The terminal's other screen, with keys read as they are pressed; all is as before in the end."""
    import termios
    import tty

    keyboard = sys.stdin.fileno()
    before = termios.tcgetattr(keyboard)
    tty.setcbreak(keyboard)
    print(_ALTERNATE, end="", flush=True)
    try:
        yield _pressed_q
    except KeyboardInterrupt:
        pass  # Ctrl-C is how most people leave
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)
        print(_BACK, end="", flush=True)


@contextmanager
def _plainly() -> Iterator[_Asked]:
    yield _waited


def _pressed_q(seconds: float) -> bool:
    ends = time.monotonic() + seconds
    while (left := ends - time.monotonic()) > 0:
        if select.select([sys.stdin], [], [], left)[0]:
            pressed = os.read(sys.stdin.fileno(), 64)
            if not pressed or b"q" in pressed.lower():
                return True
    return False


def _waited(seconds: float) -> bool:
    time.sleep(seconds)
    return False
