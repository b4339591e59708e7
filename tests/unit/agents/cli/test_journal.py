"""The log in systemd's journal: fields of their own, one line each, and never a stop for its sake."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from agents.cli import journal
from agents.cli.journal import Journal, leads_to_journal, render, unit_of
from tests.unit.agents.cli.test_log_lines import CHECKOUT, SERVICE


@pytest.fixture
def journald(tmp_path: Path) -> socket.socket:
    """A socket where journald's would be."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listening.bind(str(tmp_path / "journal"))
    return listening


def test_a_line_has_fields(journald: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Priority, event, task and conversation; the agent is the unit's, whatever a line says."""
    (tmp_path / "cgroup").write_text("0::/agents.slice/agent-1@greeter.service\n")
    monkeypatch.setattr(journal, "_CGROUPS", tmp_path / "cgroup")
    (message,), more = render(
        None, "error", {"event": "task.failed", "level": "error", "task": "t1\nAGENT=other", "trace_id": "ab"}
    )
    with journald, closing(Journal(str(tmp_path / "journal"))) as log:
        log.msg(message, **more)
        got = journald.recv(4096).decode().splitlines()
    assert got[0].startswith('MESSAGE={"event": "task.failed"')
    assert got[1:] == [
        "PRIORITY=3",
        "AGENTBUS_EVENT=task.failed",
        "TASK_ID=t1 AGENT=other",
        "TRACE_ID=ab",
        "SYSLOG_IDENTIFIER=agent-1@greeter",
        "AGENT=greeter",
    ]


def test_what_the_journal_does_not_take_is_printed(
    tmp_path: Path, journald: socket.socket, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without its socket, or with a line that is too long for it, the line goes to standard output with its priority."""
    with closing(Journal(str(tmp_path / "nothing"))) as log:
        log.msg("one", priority=4)
    with journald, closing(Journal(str(tmp_path / "journal"))) as log:
        log.msg("x" * (1 << 20), priority=3)
    first, second = capsys.readouterr().out.splitlines()
    assert (first, second[:5]) == ("<4>one", "<3>xx")


def test_only_the_very_pipe_is_the_journal() -> None:
    """A process whose output somebody redirected, or a child of a unit with another one, prints."""
    mine = os.fstat(1)
    assert leads_to_journal({"JOURNAL_STREAM": f"{mine.st_dev}:{mine.st_ino}"})
    assert not leads_to_journal({"JOURNAL_STREAM": f"{mine.st_dev}:{mine.st_ino + 1}"})
    assert not leads_to_journal({})


def test_a_service_whose_output_is_the_journal_speaks_to_it() -> None:
    """Nothing stops where journald is not there: each line is printed with its priority, and no secret is in it."""
    script = "import os; s = os.fstat(1); os.environ['JOURNAL_STREAM'] = f'{s.st_dev}:{s.st_ino}'\n"
    script += "import agents.cli.journal\nagents.cli.journal.Journal.__init__.__defaults__ = ('/nonexistent',)\n"
    done = subprocess.run(
        [sys.executable, "-c", script + SERVICE], cwd=CHECKOUT, capture_output=True, check=True, timeout=30
    )
    lines = done.stdout.decode().splitlines()
    assert [line[:3] for line in lines] == ["<4>", "<3>"]
    assert b"abc" not in done.stdout


def test_the_unit_is_told_by_its_cgroup(tmp_path: Path) -> None:
    """In both kinds of hierarchies; outside a unit it is empty."""
    file = tmp_path / "cgroup"
    file.write_text(
        "9:name=systemd:/system.slice/agentbus-sealer.service\n8:pids:/system.slice/agentbus-sealer.service\n"
    )
    assert unit_of(file) == "agentbus-sealer"
    file.write_text("0::/user.slice/session-1.scope\n")
    assert unit_of(file) == ""
    assert unit_of(tmp_path / "nothing") == ""
