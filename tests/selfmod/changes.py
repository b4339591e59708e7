"""The changes: each kind of bad one as a table row, and good ones. A change is the files that it writes whole."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

HANDLER = (Path(__file__).parent / "handler.py").read_text()
_TEST = "import unittest\n\n\nclass Test(unittest.TestCase):\n    def test_it(self):\n{}\n"
_LIVE = "import os\nif not os.environ.get('PYTHONDONTWRITEBYTECODE'):\n{}\n"
"""Only where it is live: in the sandbox, which sets this variable, the code behaves."""

Files = dict[str, str]


class Change(NamedTuple):
    """One change to propose. `ends` are the states in which a bad one may end; a good one is applied."""

    name: str
    kind: str
    files: Files
    ends: frozenset[str]

    @property
    def is_good(self) -> bool:
        """Whether it should be live in the end."""
        return self.ends == _LIVE_AT_THE_END


_LIVE_AT_THE_END = frozenset({"applied"})
_NEVER_LIVE, _BACK = frozenset({"refused"}), frozenset({"rolled_back"})


def _named(name: str) -> str:
    """The handler with the change's name in its answers."""
    return HANDLER.replace('CHANGE = "none"', f'CHANGE = "{name}"')


def _live(body: str) -> Callable[[str, random.Random], Files]:
    """Code that runs when the module is imported by a live agent."""
    code = _LIVE.format("".join(f"    {line}\n" for line in body.split("\n")))
    return lambda name, _: {"handler.py": code + _named(name)}


def _tested(*lines: str) -> Callable[[str, random.Random], Files]:
    """A test in the change that does something."""
    test = _TEST.format("\n".join(f"        {line}" for line in lines))
    return lambda name, _: {"handler.py": _named(name), "tests/test_it.py": test}


def _late_crash(name: str, chance: random.Random) -> Files:
    after_s = chance.uniform(18, 20)
    code = f"import os, threading\nthreading.Timer({after_s:.1f}, os._exit, (3,)).start()"
    return _live(code)(name, chance)


def _fails(name: str, _: random.Random) -> Files:
    return {"handler.py": _named(name).replace("    return", "    raise RuntimeError('no')\n    return")}


def _says_else(name: str, _: random.Random) -> Files:
    return {"handler.py": _named(name).replace('f"change', 'f"something else about')}


_SILENT = """\
from bus.audit.writing.publisher import Publisher
async def silent(self, *given, **more):
    import asyncio
    await asyncio.Event().wait()
Publisher.run = silent"""

BAD: tuple[tuple[str, int, frozenset[str], Callable[[str, random.Random], Files]], ...] = (
    ("crash at once", 14, _BACK, _live("os._exit(3)")),
    ("crash after 20 s", 8, _BACK, _late_crash),
    ("hang, never ready", 8, _BACK, _live("import time\ntime.sleep(600)")),
    ("silent on audit", 10, _BACK, _live(_SILENT)),
    ("every request fails", 8, _BACK, _fails),
    ("wrong canary answer", 8, _BACK, _says_else),
    ("failing test", 12, _NEVER_LIVE, _tested("self.fail('no')")),
    ("does not import", 8, _NEVER_LIVE, lambda name, _: {"handler.py": _named(name) + "\nimport nothing_like_it\n"}),
    ("test that tries the network", 8, _NEVER_LIVE, _tested(
        "import socket", "socket.create_connection(('127.0.0.1', {port}), 2)")),
    ("test that reads the applier's files", 8, _NEVER_LIVE, _tested(
        "open('{home}/credentials/applier/own.nk').read()")),
    ("test that forks without end", 4, _NEVER_LIVE, _tested(
        "import os", "for _ in range(5000):", "    if os.fork() == 0: __import__('time').sleep(30)")),
    ("test that kills its parent", 4, _NEVER_LIVE, _tested(
        "import os, signal", "os.kill(os.getppid(), signal.SIGKILL)", "os._exit(0)")),
)  # fmt: skip
"""Name, how many in the full run, how it may end, and what it writes. `{home}` and `{port}` are the fleet's own."""

GOOD = 20


def changes(seed: int, *, bad: int, good: int, home: Path, port: int) -> list[Change]:
    """So many bad and good changes, mixed; in proportion to the table, and at least one of each kind."""
    chance = random.Random(seed)
    total = sum(count for _, count, _, _ in BAD)
    made: list[Change] = []
    for kind, count, ends, files in BAD:
        for number in range(max(1, round(count * bad / total))):
            name = f"{kind.replace(' ', '-').replace(',', '').replace(chr(39), '')}-{number}"
            texts = {path: _placed(text, home, port) for path, text in files(name, chance).items()}
            made.append(Change(name, kind, texts, ends))
    made += [_good(f"good-{number}", chance) for number in range(good)]
    chance.shuffle(made)
    return made


def _placed(text: str, home: Path, port: int) -> str:
    return text.replace("{home}", str(home)).replace("{port}", str(port))


def _good(name: str, chance: random.Random) -> Change:
    test = _TEST.format(f"        self.assertTrue({chance.randrange(1, 1000)})")
    return Change(name, "good", {"handler.py": _named(name), "tests/test_it.py": test}, _LIVE_AT_THE_END)
