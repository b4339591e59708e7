"""The command of `proposals watch --exec`, as real processes: what it is given, what it may take, and how it ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from agents.cli.proposals.hook import Hook, Limits
from schemas.errors import InvalidDocument

EVIL = "$(touch owned); `touch owned` & touch owned\n\x1b[2J\x00 --help ${HOME} %s \u202e"
NEWS = json.dumps({"proposal": "p-aaaaaaaa", "rationale": EVIL}).encode() + b"\n"
TELLS_ALL = """
import json, os, sys
from pathlib import Path
Path("heard").write_text(json.dumps([sys.argv[1:], sys.stdin.read(), dict(os.environ), os.listdir("/proc/self/fd")]))
"""


DEFAULT = Limits()


def command(folder: Path, code: str, *words: str) -> str:
    """A Python program as the text of --exec."""
    script = folder / f"hook-{len(list(folder.iterdir()))}.py"
    script.write_text(code)
    return " ".join([sys.executable, str(script), *words])


async def told(text: str, *news: bytes, limits: Limits = DEFAULT) -> None:
    """Tell it all of the news, and return when every run has ended."""
    hook = Hook(text, limits)
    for number, body in enumerate(news):
        hook.tell(f"p-{number}", body)
    await hook.settle()
    await hook.close()


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that ended and was not collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def gone(pid: int) -> None:
    """Wait until it is."""
    deadline = time.monotonic() + 20
    while is_alive(pid):
        assert time.monotonic() < deadline, f"{pid} still runs"
        await asyncio.sleep(0.02)


async def test_what_an_agent_wrote_is_input_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No shell: the words of --exec are the arguments as they stand; the news is in no argument and no variable."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPERATORS_OWN", "kept")
    words = ["'two words'", "$HOME", "*", ";", "touch", "owned"]
    await told(command(tmp_path, TELLS_ALL, *words), NEWS)
    arguments, heard, environment, descriptors = json.loads((tmp_path / "heard").read_text())
    assert arguments == ["two words", "$HOME", "*", ";", "touch", "owned"]
    assert json.loads(heard)["rationale"] == EVIL
    assert "touch owned" not in json.dumps(environment)
    assert environment["OPERATORS_OWN"] == "kept"
    assert descriptors == ["0", "1", "2", descriptors[-1]]  # the three, and the folder that is being listed
    assert not (tmp_path / "owned").exists()


async def test_one_that_does_not_end_is_stopped_with_its_children(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also one that ignores SIGTERM; said with the proposal that it was for."""
    endless = """
import os, signal, sys, time
from pathlib import Path
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = os.fork()
if child:
    Path(sys.argv[1]).write_text(f"{os.getpid()} {child}")
time.sleep(600)
"""
    pids = tmp_path / "pids"
    await told(command(tmp_path, endless, str(pids)), NEWS, limits=Limits(time_s=3))
    for pid in pids.read_text().split():
        await gone(int(pid))
    assert "was stopped after 3 s, for p-0\n" in capsys.readouterr().err


async def test_one_that_leaves_a_child_behind_leaves_nothing(tmp_path: Path) -> None:
    """It ends at once and its child holds the output open: the run is over all the same, and so is the child."""
    leaving = """
import os, sys, time
from pathlib import Path
child = os.fork()
if child == 0:
    time.sleep(600)
Path(sys.argv[1]).write_text(str(child))
"""
    pid = tmp_path / "pid"
    await asyncio.wait_for(told(command(tmp_path, leaving, str(pid)), NEWS, limits=Limits(time_s=600)), 60)
    await gone(int(pid.read_text()))


async def test_one_that_makes_a_session_of_its_own_holds_nobody_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Such a process goes on, as the operator's command wants it; the run is over, and what was said is shown."""
    daemon = """
import os, sys, time
from pathlib import Path
print("begun", flush=True)
child = os.fork()
if child == 0:
    os.setsid()
    Path(sys.argv[1]).write_text(str(os.getpid()))
    time.sleep(600)
while not Path(sys.argv[1]).exists() or not Path(sys.argv[1]).read_text():
    time.sleep(0.01)
"""
    pid = tmp_path / "pid"
    await asyncio.wait_for(told(command(tmp_path, daemon, str(pid)), NEWS, limits=Limits(time_s=600)), 60)
    assert is_alive(int(pid.read_text()))
    os.kill(int(pid.read_text()), signal.SIGKILL)
    assert capsys.readouterr().err == "begun\n"


async def test_what_it_says_is_shown_harmless_and_not_for_ever(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On standard error, control characters spelt out, up to the limit; it goes on and ends all the same."""
    echo = "import json, sys\nprint(json.load(sys.stdin)['rationale'])\nprint('x' * 10_000_000)\nsys.exit(7)\n"
    await told(command(tmp_path, echo), NEWS, limits=Limits(output_bytes=1000))
    shown = capsys.readouterr()
    assert shown.out == ""
    assert not {"\x1b", "\x00", "\u202e"} & set(shown.err)
    assert "\\x1b[2J" in shown.err
    assert len(shown.err) < 2000
    assert "ended with 7, for p-0\n" in shown.err


async def test_no_more_run_at_once_than_may(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two at a time, three wait, the rest is not told and said; a large news is read by whoever reads late."""
    counting = """
import os, sys, time
from pathlib import Path
folder = Path(sys.argv[1])
mine = folder / f"{os.getpid()}.runs"
mine.touch()
together = len(list(folder.glob("*.runs")))
deadline = time.monotonic() + 20
while together < 2 and time.monotonic() < deadline and not list(folder.glob("*.ended")):
    time.sleep(0.01)
    together = max(together, len(list(folder.glob("*.runs"))))
heard = len(sys.stdin.read())
mine.unlink()
(folder / f"{os.getpid()}.ended").write_text(f"{together} {heard}")
"""
    news = [b"x" * 500_000] * 8
    await told(command(tmp_path, counting, str(tmp_path)), *news, limits=Limits(at_once=2, waiting=3))
    ended = [path.read_text().split() for path in tmp_path.glob("*.ended")]
    assert len(ended) == 5
    assert max(int(together) for together, _ in ended) == 2
    assert {heard for _, heard in ended} == {"500000"}
    assert capsys.readouterr().err.count("too many are waiting for it") == 3


async def test_what_goes_wrong_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One that is not there, one that does not read, one that a signal ends."""
    await told("/nowhere/hook", NEWS)
    assert "/nowhere/hook cannot be run: No such file or directory" in capsys.readouterr().err
    await told(command(tmp_path, "raise SystemExit(0)\n"), b"x" * 5_000_000)
    assert capsys.readouterr().err == ""
    await told(command(tmp_path, f"import os\nos.kill(os.getpid(), {int(signal.SIGSEGV)})\n"), NEWS)
    assert f"was ended by signal {int(signal.SIGSEGV)}, for p-0" in capsys.readouterr().err
    for wrong in ("", "   ", "'open"):
        with pytest.raises(InvalidDocument, match="--exec"):
            Hook(wrong)


async def test_the_end_of_watching_ends_what_runs(tmp_path: Path) -> None:
    """Closed in the middle of a run: it is gone, and what waits is not begun."""
    slow = (
        "import os, sys, time\nfrom pathlib import Path\nPath(sys.argv[1], str(os.getpid())).touch()\ntime.sleep(600)\n"
    )
    begun = tmp_path / "begun"
    begun.mkdir()
    hook = Hook(command(tmp_path, slow, str(begun)), Limits(at_once=1))
    hook.tell("p-0", NEWS)
    hook.tell("p-1", NEWS)
    deadline = time.monotonic() + 20
    while not list(begun.iterdir()) and time.monotonic() < deadline:
        await asyncio.sleep(0.01)
    await hook.close()
    (one,) = begun.iterdir()
    await gone(int(one.name))
    assert list(begun.iterdir()) == [one]
