"""`agentbus tasks …` against a running fleet: what an operator sees of tasks, and what a script can rely on."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agents.cli.tasks.commands import _LARGEST_PAGE
from agents.people import operators_connection
from bus.jetstream import store
from schemas import names, subjects
from schemas.ids import task_id
from tests.harness.fleet import CHECKOUT, RunningFleet, until
from tests.harness.needs import needs_script


def _left(fleet: RunningFleet, agent: str = "textstats", *arguments: str) -> str:
    """A task that was left and has ended."""
    task = fleet.run("tasks", "add", agent, *(arguments or ("--data", '{"text": "a b"}'))).stdout.strip()
    fleet.run("tasks", "show", agent, task, "--wait", check=False)
    return task


def _listed(fleet: RunningFleet, *arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(fleet.run("tasks", "list", "--json", *arguments).stdout)
    return found


def test_the_list_has_every_agents_tasks_newest_first(fleet: RunningFleet) -> None:
    """Without an agent, the tasks of all agents stand in one list, the one that changed last first."""
    old, new = _left(fleet, "greeter", "hello"), _left(fleet)
    rows = [line.split()[:3] for line in fleet.run("tasks", "list").stdout.splitlines()]
    assert rows[0] == ["AGENT", "TASK", "STATE"]
    assert rows.index(["textstats", new, "completed"]) < rows.index(["greeter", old, "completed"])
    theirs = {row["task"]["id"] for row in _listed(fleet, "greeter")["tasks"]}
    assert old in theirs
    assert new not in theirs


def test_the_list_filters_by_state_and_conversation(fleet: RunningFleet) -> None:
    """`--state` and `--context` leave out every other task."""
    refused = _left(fleet, "textstats", "a text where data is wanted")
    rows = _listed(fleet, "textstats", "--state", "rejected")["tasks"]
    assert refused in {row["task"]["id"] for row in rows}
    assert {row["task"]["status"]["state"] for row in rows} == {"TASK_STATE_REJECTED"}
    context = next(row["task"]["contextId"] for row in rows if row["task"]["id"] == refused)
    assert [row["task"]["id"] for row in _listed(fleet, "--context", context)["tasks"]] == [refused]


@pytest.mark.timeout(120)
async def test_the_list_reads_every_page(fleet: RunningFleet) -> None:
    """More tasks than one page of ListTasks holds are all listed, each once; fewer when fewer are asked for."""
    count = _LARGEST_PAGE + 5
    connect = "import asyncio, sys; from pathlib import Path; from agents.people import operator; "
    script = (
        "from agents.cli.ask_commands import Question\n"
        "async def main():\n"
        "    async with operator(Path(sys.argv[1]), '') as calls:\n"
        "        question = Question('textstats', '', '{\"text\": \"a\"}', '', 5, is_background=True)\n"
        f"        await asyncio.gather(*(calls.leave_task('textstats', question.request()) for _ in range({count})))\n"
        "asyncio.run(main())\n"
    )
    left = await asyncio.create_subprocess_exec(
        sys.executable, "-c", f"{connect}\n{script}", str(fleet.home.root),
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
    )  # fmt: skip
    assert await left.wait() == 0

    async def total() -> int:
        found = await asyncio.to_thread(_listed, fleet, "textstats", "--limit", "1")
        assert len(found["tasks"]) == 1
        return int(found["totalSize"]) if found["totalSize"] >= count else 0

    known = await until(total, timeout_s=40)
    rows = (await asyncio.to_thread(_listed, fleet, "textstats", "--limit", "1000"))["tasks"]
    assert len({row["task"]["id"] for row in rows}) == len(rows) >= known
    short = await asyncio.to_thread(fleet.run, "tasks", "list", "textstats", "-n", "3")
    assert len(short.stdout.splitlines()) == 4
    assert "the 3 newest of" in short.stderr


def test_the_exit_code_says_how_it_ended(fleet: RunningFleet) -> None:
    """`watch` and `show --wait` exit with 0 for a completed task, with 1 for one that ended otherwise."""
    good, bad = _left(fleet), _left(fleet, "textstats", "a text where data is wanted")
    for command in (("watch",), ("show", "--wait")):
        assert fleet.run("tasks", *command, "textstats", good, check=False).returncode == 0
        ended = fleet.run("tasks", *command, "textstats", bad, check=False)
        assert ended.returncode == 1
        assert "CountInput" in ended.stdout
    assert fleet.run("tasks", "show", "textstats", bad).returncode == 0


async def test_what_was_given_up_is_listed_and_left_again(fleet: RunningFleet) -> None:
    """`dead` names what could not be taken and why, for this operator; `retry` leaves it again, once, if it can be read."""
    readable = b'{"message": {"messageId": "1", "role": "ROLE_USER", "parts": [{"data": {"text": "a"}}]}}'
    async with operators_connection(fleet.home.root, "") as (connection, operator):
        subject = str(subjects.Task("textstats", operator))
        versionless = task_id(await store(connection, subject, readable))
        hopeless = task_id(await store(connection, subject, b"\xff", headers={names.A2A_VERSION: "1.0"}))

    async def rows() -> dict[str, Any]:
        answer = await asyncio.to_thread(fleet.run, "tasks", "dead", "textstats", "--json")
        found = {row["task"]: row for row in json.loads(answer.stdout)["dead"]}
        return found if {versionless, hopeless} <= found.keys() else {}

    found = await until(rows)
    assert "A2A-Version" in found[versionless]["reason"]
    assert (found[versionless]["payload"], found[hopeless]["payload"]) == (json.loads(readable), None)
    listed = (await asyncio.to_thread(fleet.run, "tasks", "dead")).stdout.splitlines()
    assert [line.split()[1] for line in listed[1:]][:2] == [hopeless, versionless]
    assert "task-" not in (await asyncio.to_thread(fleet.run, "tasks", "dead", "greeter")).stdout

    refused = await asyncio.to_thread(fleet.run, "tasks", "retry", "textstats", hopeless, check=False)
    assert refused.returncode == 78
    assert "would fail again" in refused.stderr
    again = [
        (await asyncio.to_thread(fleet.run, "tasks", "retry", "textstats", versionless)).stdout.strip() for _ in "ab"
    ]
    assert again[0] == again[1] != versionless
    shown = await asyncio.to_thread(fleet.run, "tasks", "show", "textstats", again[0], "--wait", "--json")
    assert json.loads(shown.stdout)["history"][0]["referenceTaskIds"] == [versionless]


def test_a_task_that_is_put_off_says_when_it_is_due(fleet: RunningFleet) -> None:
    """`--in` and `--at` put a task off: list and show say until when, show --wait waits for it, cancel ends it."""
    task = fleet.run("tasks", "add", "textstats", "--data", '{"text": "a"}', "--in", "2h").stdout.strip()
    assert fleet.run("tasks", "show", "textstats", task, "--wait", "--timeout", "2", check=False).returncode == 75
    state, due = fleet.run("tasks", "show", "textstats", task).stdout.splitlines()
    assert state.startswith(f"{task} submitted since ")
    (row,) = [line for line in fleet.run("tasks", "list", "textstats").stdout.splitlines() if f" {task} " in line]
    assert row.endswith(due)
    assert due.startswith("not before 20")
    canceled = fleet.run("tasks", "cancel", "textstats", task).stdout
    assert canceled.startswith(f"{task} canceled since ")
    assert "not before" not in canceled
    for when in (("--in", "1s"), ("--at", "2026-01-31T07:00:00+01:00")):
        soon = fleet.run("tasks", "add", "textstats", "--data", '{"text": "a"}', *when).stdout.strip()
        assert fleet.run("tasks", "show", "textstats", soon, "--wait").stdout.startswith(f"{soon} completed since ")


def test_an_ended_task_is_not_canceled(fleet: RunningFleet) -> None:
    """Cancel of a task that has ended says so, with exit 1."""
    refused = fleet.run("tasks", "cancel", "textstats", _left(fleet), check=False)
    assert refused.returncode == 1
    assert "has ended already" in refused.stderr


@needs_script
def test_colour_is_for_terminals(fleet: RunningFleet) -> None:
    """States have colours on a terminal, unless NO_COLOR is set, and never in a pipe."""
    _left(fleet)
    command = f"{sys.executable} -m agents.cli tasks list textstats"
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), "AGENTBUS_HOME": str(fleet.home.root), "NO_COLOR": ""}

    def on_a_terminal(**more: str) -> str:
        return subprocess.run(
            ["script", "--quiet", "--return", "--command", command, "/dev/null"],
            capture_output=True, text=True, check=True, env=environment | more,
        ).stdout  # fmt: skip

    assert "\x1b[32mcompleted" in on_a_terminal()
    assert "\x1b" not in on_a_terminal(NO_COLOR="1")
    assert "\x1b" not in fleet.run("tasks", "list", "textstats").stdout


def test_a_large_file_goes_along(fleet: RunningFleet, tmp_path: Path) -> None:
    """`ask --file` and `tasks add --file` send what no message can hold; the task's history has where it was, not what."""
    large = tmp_path / "large.bin"
    large.write_bytes(os.urandom(5 * 1024 * 1024))
    said = ("textstats", "--data", '{"text": "one two"}', "--file", str(large))
    assert json.loads(fleet.run("ask", *said).stdout)["words"] == 2
    task = fleet.run("tasks", "add", *said).stdout.strip()
    done = fleet.run("tasks", "show", "textstats", task, "--wait", "--json")
    (_, part) = json.loads(done.stdout)["history"][0]["parts"]
    assert (part["filename"], part["mediaType"]) == ("large.bin", "application/octet-stream")
    assert part["url"].startswith("urn:agentbus:part:ops:textstats:")
    missing = fleet.run("ask", "textstats", "--file", str(large), check=False)
    assert (missing.returncode, "CONTENT_TYPE_NOT_SUPPORTED" in missing.stderr) == (1, True)
