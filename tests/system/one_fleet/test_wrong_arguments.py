"""What a person may get wrong with a running fleet: one clear sentence, an exit code that is not 0, no traceback."""

from __future__ import annotations

import pytest

from tests.harness.fleet import RunningFleet
from tests.system.test_bad_input import _says


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("ask", "nobody", "hello"), 69, ("nobody serves nobody",)),
        (("ask", "No.Body", "hello"), 1, ("No.Body", "subject token")),
        (("ask", "greeter"), 78, ("text or --data",)),
        (("ask", "greeter", "bytes: \udcff"), 78, ("no text in UTF-8", "--file")),
        (("ask", "textstats", "--file", "/no/such/file"), 78, ("/no/such/file", "No such file")),
        (("ask", "textstats", "--file", "/"), 78, ("directory",)),
        (("ask", "textstats", "--data", "{"), 78, ("--data is not JSON",)),
        (("ask", "textstats", "--data", '{"text": 5}'), 1, ("INVALID_ARGUMENT", "message.parts[0].data.text")),
        (("ask", "textstats", "--data", '{"text": "x"}', "--skill", "sing"), 1, ("sing", "count")),
        (("ask", "greeter", "hello", "--as", "stranger"), 78, ("stranger", "ops")),
        (("tasks", "show", "greeter", "task-999"), 1, ("TASK_NOT_FOUND", "task-999")),
        (("tasks", "watch", "nobody", "task-1"), 69, ("nobody serves nobody",)),
        (("tasks", "cancel", "greeter", "task-999"), 1, ("TASK_NOT_FOUND", "task-999")),
        (("tasks", "retry", "greeter", "task-999"), 1, ("TASK_NOT_FOUND", "agentbus tasks dead")),
        (("tasks", "list", "greeter", "--state", "sleeping"), 78, ("sleeping", "input-required")),
        (("tasks", "list", "greeter", "--limit", "0"), 78, ("--limit",)),
        (("tasks", "add", "greeter", "hi", "--in", "soon"), 78, ("--in", "soon", "10m")),
        (("tasks", "add", "greeter", "hi", "--at", "2030-01-31T07:00:00"), 78, ("--at", "time zone")),
        (("tasks", "add", "greeter", "hi", "--at", "noon"), 78, ("--at", "noon", "2030-01-31")),
        (("tasks", "add", "greeter", "hi", "--at", "2030-01-31T07:00:00Z", "--in", "1m"), 78, ("--in", "--at", "both")),
        (("tasks", "add", "greeter", "hi", "--in", "31d"), 1, ("INVALID_ARGUMENT", "30 days")),
        (("tasks", "list", "No.Body"), 1, ("No.Body", "subject token")),
        (("agent", "stop", "nobody"), 1, ("nobody", "agentbus status")),
        (("audit", "replay", "--type", "nonsense"), 78, ("nonsense", "request")),
    ],
)
def test_a_wrong_argument(fleet: RunningFleet, arguments: tuple[str, ...], code: int, words: tuple[str, ...]) -> None:
    """A wrong argument to a running fleet is named, with what would be right."""
    _says(fleet.run(*arguments, check=False), code, *words)
