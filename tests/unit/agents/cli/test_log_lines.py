"""The log of a service and of a command: where it goes, also when nothing can be written there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).parents[4]
SERVICE = """
import os, sys
from agents.cli.run import log_to_stdout

log_to_stdout()

import structlog

log = structlog.get_logger("test")
log.warning("audit.batch_unconfirmed", reason="x" * 100_000)
log.error("audit.stopped", headers={"id": 1, "Authorization": "Bearer abc"}, reason="db_password=abc", token="abc")
os.write(2, b"it goes on")
os._exit(0)
"""
COMMAND = """
import io, os, sys
from agents.cli.run import log_quietly

outer, sys.stderr = sys.stderr, io.StringIO()
log_quietly()

import structlog

log = structlog.get_logger("test")
log.error("kept")
os.write(1, b"kept\\n" if "event='kept'" in sys.stderr.getvalue() else b"lost\\n")
sys.stderr.close()
sys.stderr = outer
log.error("lost", reason="x" * 100_000)
os.write(1, b"it goes on")
os._exit(0)
"""


def test_a_log_that_cannot_be_written_does_not_stop_the_service() -> None:
    """A line for which the disk has no room is lost, and the work goes on."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", SERVICE], cwd=CHECKOUT, stdout=full, stderr=subprocess.PIPE, check=False, timeout=30
        )
    assert (done.returncode, done.stderr) == (0, b"it goes on")


def test_a_log_of_a_command_that_cannot_be_written_does_not_stop_it() -> None:
    """Its errors are on standard error, whichever that is when they are written; a line that is lost stops nothing."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", COMMAND], cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=full, check=False, timeout=30
        )
    assert (done.returncode, done.stdout) == (0, b"kept\nit goes on")


def test_a_log_is_a_line_of_json_each() -> None:
    """What is logged is on standard output, in order."""
    done = subprocess.run([sys.executable, "-c", SERVICE], cwd=CHECKOUT, capture_output=True, check=True, timeout=30)
    lines = done.stdout.decode().splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["audit.batch_unconfirmed", "audit.stopped"]


def test_a_log_has_no_named_secrets() -> None:
    """Neither under a line's own keys, nor nested in a value, nor in a text; what is beside them is there."""
    done = subprocess.run([sys.executable, "-c", SERVICE], cwd=CHECKOUT, capture_output=True, check=True, timeout=30)
    line = json.loads(done.stdout.splitlines()[1])
    assert b"abc" not in done.stdout
    assert (line["headers"]["id"], line["reason"]) == (1, "db_password=[redacted]")
