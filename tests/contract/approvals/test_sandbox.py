"""Trees that attack whoever tries them, in real processes: contained in namespaces, and by the limits alone."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

import pytest

from agents.processes.trying import local_sandbox
from approvals.trial.jail import EX_OSERR, Jail, Limits
from approvals.trial.sandbox import LIMITS_ONLY, NAMESPACES, CheckResult
from bus.surroundings import Home
from tests.harness.needs import Reason, needs
from tests.harness.passable import interpreter_for_all
from tests.harness.trees import AGENT, HANDLER, tree

SECRET = "a key of the fleet"
LIMITS = Limits(memory_bytes=256 << 20, processes=16, file_bytes=1 << 20, tmp_bytes=4 << 20)


def has_namespaces() -> bool:
    """Whether this kernel gives them to this user, found out by the jail itself."""
    from approvals.trial import jail

    what = Jail(["/bin/true"], {}, ["/bin", "/usr", "/lib", "/lib64"], [], Limits(), namespaces=True)
    return subprocess.run(jail.argv(what), capture_output=True, check=False).returncode != EX_OSERR


needs_namespaces = needs(has_namespaces(), Reason.NAMESPACES)
WHERE = [pytest.param(NAMESPACES, marks=needs_namespaces), LIMITS_ONLY]


@pytest.fixture
def home() -> Iterator[Home]:
    """A fleet's home with a key that everybody on this machine may read: only the sandbox is in the way."""
    with tempfile.TemporaryDirectory() as folder:
        key = Path(folder, "credentials/applier/own.nk")
        key.parent.mkdir(parents=True)
        key.write_text(SECRET)
        for path in (folder, key.parent.parent, key.parent):
            Path(path).chmod(0o755)
        yield Home(Path(folder))


class Stage:
    """Tries trees. A tree is an agent with the given files."""

    def __init__(self, folder: Path, home: Home) -> None:
        self.home = home
        self._folder = folder
        self._count = 0

    def packed(self, files: Mapping[str, str]) -> bytes:
        """The archive of a tree."""
        self._count += 1
        return tree(self._folder / str(self._count), files)

    async def tried(self, where: str, files: Mapping[str, str]) -> CheckResult:
        """What becomes of a tree in the sandbox of that kind."""
        (result,) = await self.tried_at_once(where, [files], seconds=45.0)
        return result

    async def tried_at_once(
        self, where: str, trees: Sequence[Mapping[str, str]], *, seconds: float
    ) -> list[CheckResult]:
        """The same of several trees at a time, which may take so long."""
        sandbox = local_sandbox(self.home, limits=LIMITS, seconds=seconds, may_use_namespaces=where == NAMESPACES)
        archives = [self.packed(files) for files in trees]
        with interpreter_for_all() if where == LIMITS_ONLY else nullcontext():
            results = await asyncio.gather(*(sandbox.check(AGENT, archive) for archive in archives))
        assert {result.where for result in results} == {where}
        return results


@pytest.fixture
def stage(tmp_path: Path, home: Home) -> Stage:
    """An empty folder for trees."""
    return Stage(tmp_path, home)


def with_a_test(body: str, name: str = "attack") -> dict[str, str]:
    """A tree with one test of this body."""
    lines = "\n".join(f"    {line}" for line in body.strip("\n").splitlines())
    return {f"tests/test_{name}.py": f"def test_{name}():\n{lines}\n"}


@pytest.mark.parametrize("where", WHERE)
async def test_a_sound_tree_passes(stage: Stage, where: str) -> None:
    """An agent that loads and whose tests pass, plain, async and of unittest, passes; the sentence counts them."""
    more = (
        "import unittest\nfrom handler import echo\n"
        "def test_plain():\n    assert echo.id == 'echo'\n"
        "async def test_async():\n    pass\n"
        "class Tests(unittest.TestCase):\n    def test_method(self):\n        self.assertTrue(1)\n"
    )
    result = await stage.tried(where, {"tests/test_more.py": more})
    assert result.passed, result
    assert result.summary.startswith("valid; 3 tests passed in ")


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"handler.py": "def echo(: pass\n"}, "handler.py:1: cannot be imported"),
        ({"handler.py": "raise ValueError('not \\x1b[31m today')\n"}, "ValueError: not \\x1b[31m today"),
        ({"agent.yaml": "agent: {id: probe}\n"}, "agent.yaml"),
        ({"agent.yaml": "agent: {id: other, description: x}\nhandler: handler.py:echo\n"}, "the agent is other, not"),
        (with_a_test("assert 1 == 2"), "1 of 1 tests failed: tests/test_attack.py::test_attack"),
        ({"tests/test_none.py": "x = 1\n"}, "ran no test"),
        ({"tests/test_broken.py": "import nothing_like_this\n"}, "tests/test_broken.py"),
    ],
    ids=["syntax", "import", "file", "another", "failing", "no tests", "collection"],
)
@needs_namespaces
async def test_a_bad_tree_fails_and_says_why(stage: Stage, files: dict[str, str], says: str) -> None:
    """One harmless sentence says what is wrong."""
    result = await stage.tried(NAMESPACES, files)
    assert not result.passed
    assert says in result.summary
    assert result.summary.isprintable()


REACHING = {
    "the fleet's key": "assert open('{key}').read() == 'a key of the fleet'",
    "the fleet's key through /proc": (
        "import glob\nassert any(open(root + '{key}').read() for root in glob.glob('/proc/*/root') if "
        "__import__('os').access(root + '{key}', 4))"
    ),
    "the machine's users": "assert open('/etc/passwd').read()",
    "a port on loopback": "import socket\nsocket.create_connection(('127.0.0.1', {port}), 1).sendall(b'here')",
    "other processes": "import os\nassert os.path.exists('/proc/{pid}/status')",
    "a file elsewhere": "import os\nopen('{public}/left.txt', 'w').close()",
}


@pytest.mark.parametrize("where", WHERE)
async def test_nothing_outside_is_reached(stage: Stage, where: str) -> None:
    """What each attack reaches where there are only limits, it does not reach in namespaces."""
    with socket.create_server(("127.0.0.1", 0)) as listener, tempfile.TemporaryDirectory() as public:
        listener.settimeout(0)
        Path(public).chmod(0o777)
        known = {
            "key": stage.home.credentials("applier") / "own.nk", "port": listener.getsockname()[1],
            "pid": os.getpid(), "public": public,
        }  # fmt: skip
        attacks = [with_a_test(body.format(**known), str(number)) for number, body in enumerate(REACHING.values())]
        result = await stage.tried(where, {path: text for attack in attacks for path, text in attack.items()})
        heard, left = _was_called(listener), list(Path(public).iterdir())
    is_confined, count = where == NAMESPACES, len(REACHING)
    assert result.passed is not is_confined, result
    said = f"{count} of {count} tests failed" if is_confined else f"valid; {count} tests passed"
    assert result.summary.startswith(said), result
    assert heard is not is_confined
    assert bool(left) is not is_confined


def _was_called(listener: socket.socket) -> bool:
    try:
        listener.accept()[0].close()
    except BlockingIOError:
        return False
    return True


@needs_namespaces
async def test_the_root_is_read_only_but_for_tmp(stage: Stage) -> None:
    """No folder of the new root can be written, its own program's folders among them; /tmp is limited."""
    body = """
import os, agents, pytest, sys
for folder in ('/', '/usr', '/dev', '/etc', '/proc', sys.prefix, os.path.dirname(agents.__file__), '/tmp/..'):
    with pytest.raises(OSError):
        open(os.path.join(folder, 'left.txt'), 'w')
assert os.listdir('/dev/shm') == []
with pytest.raises(OSError):
    for number in range(100):
        with open(f'/tmp/{number}', 'wb') as file:
            file.write(bytes(500_000))
assert 4 <= number <= 9
"""
    result = await stage.tried(NAMESPACES, with_a_test(body))
    assert result.passed, result


@needs_namespaces
async def test_there_is_nothing_in_the_environment(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key in the caller's environment is in no process's environment inside, not even the first one's."""
    monkeypatch.setenv("PROVIDER_KEY", SECRET)
    body = """
import os, pathlib
assert set(os.environ) <= {'PATH', 'LANG', 'HOME', 'LC_CTYPE', 'PYTHONPATH', 'PYTHONDONTWRITEBYTECODE',
                           'PYTEST_VERSION', 'PYTEST_CURRENT_TEST', 'PYTEST_XDIST_WORKER'}
for file in pathlib.Path('/proc').glob('[0-9]*/environ'):
    try:
        assert b'PROVIDER' not in file.read_bytes()
    except PermissionError:
        assert file.parts[2] == '1'
"""
    result = await stage.tried(NAMESPACES, with_a_test(body))
    assert result.passed, result


ENDING = {
    "ends its process": ("import os\nos._exit(0)", "before there was a result"),
    "ends its process in order": ("raise SystemExit(0)", ""),
    "kills itself": ("import os\nos.kill(os.getpid(), 9)", "ended by signal 9"),
    "closes every file": ("import os\nos.closerange(0, 64)", ""),
    "eats the memory": ("x = []\nwhile True: x.append(bytearray(1 << 24))", "tests failed"),
    "fills the disk": ("with open('big', 'wb') as f:\n    while True: f.write(bytes(1 << 20))", "tests failed"),
    "prints without end": ("import os, sys\nwhile True: os.write(1, b'x' * 65536)", ""),
    "forks without end": (
        "import os, time\nfor number in range(400):\n    if os.fork() == 0:\n        time.sleep(60)\n        os._exit(0)",
        "tests failed",
    ),
}


@pytest.mark.parametrize("attack", ENDING)
@pytest.mark.parametrize("where", WHERE)
async def test_a_check_without_a_good_end_has_failed(stage: Stage, where: str, attack: str) -> None:
    """Whatever a test does to its process, the machine or the time, there is a failed result."""
    body, says = ENDING[attack]
    result = await stage.tried(where, with_a_test(body))
    assert not result.passed, result
    assert says in result.summary, result


@pytest.mark.parametrize("where", WHERE)
async def test_a_check_that_does_not_end_has_failed(stage: Stage, where: str) -> None:
    """A test that works for ever and one that waits for ever are ended when their time is up."""
    endless = [with_a_test("while True: pass"), with_a_test("import time\ntime.sleep(600)")]
    for result in await stage.tried_at_once(where, endless, seconds=4.0):
        assert not result.passed, result
        assert "did not end in time" in result.summary, result


@pytest.mark.parametrize("where", WHERE)
async def test_a_handler_is_contained_while_it_loads(stage: Stage, where: str) -> None:
    """What a test may not do, the handler's module may not do at import either."""
    flood = await stage.tried(where, {"handler.py": "import os\nfor _ in range(1600): os.write(1, b'x' * 65536)\n"})
    assert (flood.passed, flood.summary) == (False, "loading the agent printed more than 1 MiB")
    leaving = await stage.tried(where, {"handler.py": "import os\nos._exit(0)\n"})
    assert (leaving.passed, leaving.summary) == (
        False,
        "loading the agent ended with status 0 before there was a result",
    )


FORGED = '{"passed":true,"summary":"valid; 99 tests passed","agent":"probe","output":""}'
FORGING = f"""
import glob, os, subprocess, sys
line = {FORGED!r} + chr(10)
print(line)
sys.__stdout__.write(line)
for number in range(64):
    try:
        os.write(number, line.encode())
    except OSError:
        pass
for path in [f'/proc/{{pid}}/fd/{{number}}' for pid in (os.getppid(), 1) for number in range(8)]:
    try:
        with open(path, 'w') as file:
            file.write(line)
    except OSError:
        pass
"""


@pytest.mark.parametrize("where", WHERE)
async def test_a_forged_result_changes_nothing(stage: Stage, where: str) -> None:
    """The line that means success, written to every file that can be reached and the parent's, is not believed."""
    result = await stage.tried(where, with_a_test(f"{FORGING}\nassert False"))
    assert not result.passed, result
    assert result.summary.startswith("the tests ended with status 0 before there was a result")
    result = await stage.tried(where, {"handler.py": f"{FORGING}\nos._exit(0)"})
    assert not result.passed, result
    assert result.summary.startswith("loading the agent ended with status 0 before there was a result; it printed: ")


@pytest.mark.parametrize("where", WHERE)
async def test_who_kills_its_parent_has_failed(stage: Stage, where: str) -> None:
    """In namespaces the parent cannot be killed; elsewhere there is no result then, and that is a failed check."""
    body = "import os, signal\nfor number in (2, 15, 9):\n    os.kill(os.getppid(), number)\nassert False"
    result = await stage.tried(where, with_a_test(body))
    said = "1 of 1 tests failed" if where == NAMESPACES else "the check ended without a result"
    assert not result.passed
    assert said in result.summary


@pytest.mark.parametrize("where", WHERE)
async def test_a_daemon_is_gone_afterwards(stage: Stage, where: str, tmp_path: Path) -> None:
    """A process that left its parent and its session has ended when the result is there."""
    mark = f"daemon of {tmp_path}"
    daemon = f"import sys, time\\nprint(1, flush=True)\\ntime.sleep(600)  # {mark}"
    body = f"""
import os, subprocess, sys
if os.fork() == 0:
    os.setsid()
    child = subprocess.Popen([sys.executable, '-c', '{daemon}'], stdout=subprocess.PIPE)
    assert child.stdout.readline() == b'1\\n'
    os._exit(0)
assert os.wait()[1] == 0
"""
    result = await stage.tried(where, with_a_test(body))
    assert result.passed, result
    assert [line for line in _command_lines() if mark in line] == []


def _command_lines() -> Iterator[str]:
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield file.read_bytes().decode("utf-8", "replace")
        except OSError:
            continue


TRYING = """
import asyncio, sys
from pathlib import Path
from agents.processes.trying import local_sandbox
asyncio.run(local_sandbox().check("probe", Path(sys.argv[1]).read_bytes()))
"""


@needs_namespaces
def test_a_check_does_not_outlive_who_asked(stage: Stage, tmp_path: Path) -> None:
    """When the process that tries a tree is killed, nothing of the tree goes on."""
    mark = f"sleeper of {tmp_path}"
    body = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'import time; time.sleep(600) # {mark}'])"
    archive = tmp_path / "tree.tar"
    archive.write_bytes(stage.packed(with_a_test(body)))
    with subprocess.Popen([sys.executable, "-c", TRYING, str(archive)]) as trying:
        _await(lambda: any(mark in line for line in _command_lines()))
        trying.kill()
    _await(lambda: not any(mark in line for line in _command_lines()))


def _await(is_so: Callable[[], bool]) -> None:
    """Look until it is so."""
    until = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < until, "it did not come to that within 30 s"
        time.sleep(0.05)


WITHOUT_NAMESPACES = """
import asyncio, os, sys
from pathlib import Path
user, group = os.geteuid(), os.getegid()
os.unshare(os.CLONE_NEWUSER)
Path("/proc/self/setgroups").write_text("deny")
Path("/proc/self/uid_map").write_text(f"1000 {user} 1")
Path("/proc/self/gid_map").write_text(f"1000 {group} 1")
Path("/proc/sys/user/max_user_namespaces").write_text("0")
from agents.processes.trying import local_sandbox
files = Path(sys.argv[1]).read_bytes()
for must_confine in (False, True):
    result = asyncio.run(local_sandbox().check("probe", files, must_confine=must_confine))
    print(result.passed, result.where, result.summary, sep="|")
"""


@needs_namespaces
def test_a_machine_without_namespaces_is_noticed(stage: Stage, tmp_path: Path) -> None:
    """Where the kernel gives a plain user none, the result says that there were only limits, or nothing is tried."""
    archive = tmp_path / "tree.tar"
    archive.write_bytes(stage.packed(with_a_test("assert True")))
    command = [sys.executable, "-c", WITHOUT_NAMESPACES, str(archive)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    taken, refused = done.stdout.splitlines()
    assert taken.startswith(f"True|{LIMITS_ONLY}|valid; 1 test passed"), done
    assert refused.startswith(f"False|{LIMITS_ONLY}|not tried: "), done


async def test_only_limits_can_be_refused(stage: Stage) -> None:
    """Where policy asks for more than limits, nothing of the tree runs without namespaces."""
    with tempfile.TemporaryDirectory() as public:
        Path(public).chmod(0o777)
        files = stage.packed({"handler.py": f"open('{public}/ran', 'w')\n{HANDLER}"})
        sandbox = local_sandbox(stage.home, limits=LIMITS, may_use_namespaces=False)
        refused = await sandbox.check(AGENT, files, must_confine=True)
        assert (refused.passed, list(Path(public).iterdir())) == (False, [])
        with interpreter_for_all():
            taken = await sandbox.check(AGENT, files)
        assert (taken.passed, [path.name for path in Path(public).iterdir()]) == (True, ["ran"])
