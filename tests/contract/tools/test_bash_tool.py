"""Commands of a model, in real processes: confined, limited, ended; and refused where they cannot be."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from agents.tools.catalogue import Place
from agents.tools.errors import ToolAway, ToolFailed
from agents.tools.sources import rows_of
from approvals.trial import jail
from schemas.agent import Tools
from tests.contract.approvals.test_sandbox import has_namespaces
from tests.harness.needs import Reason, needs
from tests.harness.toolbox import Box, called, toolbox

needs_namespaces = needs(has_namespaces(), Reason.NAMESPACES)


def box(state: Path, **settings: Any) -> Box:
    """The tool `bash` at a workspace, with `read` and `write` beside it."""
    named = {"bash": settings, "read": {}, "write": {}}
    return toolbox(rows_of(Tools.model_validate(named), Place(state, state)))


@needs_namespaces
async def test_a_command_works_in_the_workspace(tmp_path: Path) -> None:
    """What it writes stays, what other tools wrote is there, and it may be changed from both sides."""
    tools = box(tmp_path)
    await called(tools, "write", path="in/a.txt", content="hello\n")
    said = await called(tools, "bash", command="pwd; cat in/a.txt; tr a-z A-Z <in/a.txt >in/b.txt; echo x >>in/a.txt")
    assert said == "/workspace\nhello"
    assert await called(tools, "read", path="in/b.txt") == "HELLO\n"
    await called(tools, "write", path="in/b.txt", content="again\n")
    assert await called(tools, "bash", command="cat in/b.txt; exit 3") == "again\n[exit status 3]"
    assert await called(tools, "bash", command="true") == "(no output)"


@needs_namespaces
async def test_a_command_sees_nothing_of_the_machine(tmp_path: Path) -> None:
    """No file outside, no process, no variable of the agent; it has no privileges and no input."""
    (tmp_path / "secret").write_text("a key")
    os.environ["AGENTBUS_TEST_SECRET"] = "of the agent"
    try:
        said = await called(
            box(tmp_path),
            "bash",
            command=f"cat {tmp_path}/secret; cat /etc/passwd; ls /root /home /var; env; ls /proc | grep -c '^[0-9]'; "
            "cat /proc/1/cmdline | tr '\\0' ' '; touch /usr/x /x; id -u; read line; echo input $?; mount",
        )
    finally:
        del os.environ["AGENTBUS_TEST_SECRET"]
    assert "a key" not in said
    assert "of the agent" not in said
    assert "AGENTBUS_" not in said.replace("AGENTBUS_COMMAND", "")
    assert "root:" not in said
    assert said.count("No such file") >= 4
    assert "Read-only file system" in said
    assert "\n0\n" not in said  # neither root nor many processes
    assert "input 1" in said


@needs_namespaces
async def test_a_full_workspace_can_be_emptied(tmp_path: Path) -> None:
    """By the model itself: a command may remove then, and not write; a file may be replaced by a shorter one."""
    tools = box(tmp_path, max_workspace_bytes=1000)
    files = tmp_path / "workspace"
    await called(tools, "bash", command="head -c 3000 /dev/zero >a; head -c 3000 /dev/zero >b; touch c")
    said = await called(tools, "bash", command="rm a; echo x >c; echo x >d; echo done")
    assert said.endswith("done\n[the workspace is full: this command could remove files, and write none]")
    assert sorted((each.name, each.stat().st_size) for each in files.iterdir()) == [("b", 3000), ("c", 0), ("d", 0)]
    await called(tools, "write", path="b", content="short")
    assert await called(tools, "bash", command="echo x >d; cat b d") == "shortx"


@needs_namespaces
async def test_a_command_makes_no_user_namespace(tmp_path: Path) -> None:
    """It would be root in one, and could mount file systems in memory that no limit counts."""
    said = await called(box(tmp_path), "bash", command="unshare -Urm true; unshare -U true; (true & wait); echo works")
    assert said == "unshare: unshare failed: Operation not permitted\n" * 2 + "works"


@needs_namespaces
async def test_a_command_has_no_network(tmp_path: Path) -> None:
    """Not even a server on this machine, by TCP or by an abstract socket."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind(f"\0agentbus-{os.getpid()}")
        abstract.listen()
        port = server.getsockname()[1]
        said = await called(
            box(tmp_path), "bash", command=f"exec 3<>/dev/tcp/127.0.0.1/{port} && echo reached; cat /proc/net/unix"
        )
    assert "reached" not in said
    assert f"agentbus-{os.getpid()}" not in said


@needs_namespaces
async def test_a_command_is_limited(tmp_path: Path) -> None:
    """Memory, processes and the length of a file; the command ends, the agent goes on."""
    tools = box(tmp_path, memory_mb=64, processes=8, file_mb=1)
    assert "[exit status" in await called(tools, "bash", command="head -c 300m /dev/zero | tail -c 290m | wc -c; false")
    said = await called(tools, "bash", command="exec sh -c 'for i in $(seq 40); do sleep 5 & done' 2>&1")
    assert "ork" in said  # the shell's word for that it cannot
    await called(tools, "bash", command="head -c 3m /dev/zero >big; ls -l big")
    assert (tmp_path / "workspace" / "big").stat().st_size <= 1 << 20


@needs_namespaces
async def test_a_command_that_does_not_end_is_ended_with_all_it_started(tmp_path: Path) -> None:
    """What it printed until then is told; nothing of it runs on, whatever it did to be left alone."""
    marker = f"9{os.getpid()}"
    command = f"echo begun; setsid nohup sleep {marker} >/dev/null 2>&1 & trap '' TERM INT HUP; sleep {marker}"
    for seconds in (1, 4, 16):  # a busy machine needs longer to begin
        said = await called(box(tmp_path, timeout_s=float(seconds)), "bash", command=command)
        if said.startswith("begun"):
            break
    assert said == f"begun\n[stopped: it did not end within {seconds} s; what it did until then is done]"
    assert not _running(marker)


@needs_namespaces
async def test_what_a_command_leaves_running_ends_with_it(tmp_path: Path) -> None:
    """A command is over when its shell is."""
    marker = f"8{os.getpid()}"
    await called(box(tmp_path), "bash", command=f"setsid nohup sleep {marker} >/dev/null 2>&1 & echo over")
    assert not _running(marker)


@needs_namespaces
async def test_canceling_ends_the_command(tmp_path: Path) -> None:
    """Whoever cancels the request does not leave it behind."""
    marker = f"7{os.getpid()}"
    running = asyncio.ensure_future(called(box(tmp_path), "bash", command=f"touch begun; sleep {marker}"))
    while not (tmp_path / "workspace" / "begun").exists():
        await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not _running(marker)


@needs_namespaces
async def test_long_output_keeps_both_ends(tmp_path: Path) -> None:
    """A model sees how it began and how it ended."""
    said = await called(box(tmp_path, max_result_chars=1000), "bash", command="seq 100000; echo the end")
    assert said.startswith("1\n2\n")
    assert "bytes left out" in said
    assert "the end" in said
    assert len(said) < 1200


@needs_namespaces
async def test_the_command_is_in_no_argument_list(tmp_path: Path) -> None:
    """Arguments can be read by everybody on the machine: what a model wrote is not in them."""
    word = f"word{os.getpid()}"
    command = f"touch begun; : {word}; while [ ! -e end ]; do read -t 0.05 <>/dev/null; sleep 0.05; done"
    running = asyncio.ensure_future(called(box(tmp_path), "bash", command=command))
    while not (tmp_path / "workspace" / "begun").exists():
        await asyncio.sleep(0.01)
    found = _running(word)
    (tmp_path / "workspace" / "end").touch()
    await running
    assert not found


async def test_without_namespaces_nothing_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system cannot confine, the model is told so, and limits alone are never enough."""
    monkeypatch.setattr(jail, "__file__", str(_jail_without_namespaces(tmp_path)))
    with pytest.raises(ToolFailed, match="no namespaces to confine commands in"):
        await called(box(tmp_path), "bash", command="touch ran")
    assert list((tmp_path / "workspace").iterdir()) == []


async def test_a_machine_that_is_too_busy_is_an_outage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is run, the conversation goes on, and the next call finds out anew."""
    tools = box(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr("agents.tools.shell.sandbox._PROBE_S", 0.0)
        with pytest.raises(ToolAway, match="too busy to start commands"):
            await called(tools, "bash", command="touch ran")
    assert (await called(tools, "bash", command="ls")).strip() == "(no output)"


def _jail_without_namespaces(folder: Path) -> Path:
    """The program as it is, under a kernel that refuses."""
    program = folder / "jail.py"
    real = Path(str(jail.__file__)).read_text()
    refusing = (
        "def _unshare() -> None:\n    raise OSError(1, 'Operation not permitted')\n\n\ndef _real_unshare() -> None:"
    )
    program.write_text(real.replace("def _unshare() -> None:", refusing))
    return program


def _running(word: str) -> list[str]:
    """Processes that have this word among their arguments."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes()
        except OSError:
            continue
        if word.encode() in words:
            found.append(str(path))
    return found
