"""The table of tampering, as `make tamper` runs it."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.harness.fleet import CHECKOUT

LAST_LINE = re.compile(r"tamper: caught (\d+) of \1, located \1 of \1")


@pytest.mark.timeout(400)
def test_every_kind_of_tampering_is_caught_and_located() -> None:
    """On copies of a real store, by the auditor's own command; each untouched store is sound in the same run.

    Without the rows that `test_audit_tampering.py` makes of the same records without a server.
    """
    done = subprocess.run(
        [sys.executable, "-m", "tests.tamper", "--quick"],
        capture_output=True, text=True, check=False, timeout=390, cwd=CHECKOUT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    found = LAST_LINE.fullmatch(done.stdout.splitlines()[-1])
    assert found, done.stdout
    assert int(found[1]) > 40
