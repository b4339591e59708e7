"""`make up` at a terminal, as a newcomer runs it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from tests.harness.fleet import CHECKOUT, fleet_source, free_port
from tests.harness.needs import needs_script


@needs_script
async def test_ctrl_c_ends_make_up_without_an_error(tmp_path: Path) -> None:
    """Ctrl-C typed at a terminal stops the fleet in order, and make, which waits for it, ends with 0."""
    source = tmp_path / "source"
    source.mkdir()
    fleet_source(source, port=free_port())
    command = f"{sys.executable} -m agents.cli up --home {tmp_path / 'home'} --fleet {source}"
    (tmp_path / "Makefile").write_text(f"up:\n\t@{command}\n")
    process = await asyncio.create_subprocess_exec(
        "script", "--quiet", "--return", "--command", f"make -C {tmp_path} up", "/dev/null",
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(CHECKOUT), "TERM": "dumb"},
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    async with asyncio.timeout(40):
        while b"Ctrl-C stops everything" not in await process.stdout.readline():
            assert process.returncode is None
    process.stdin.write(b"\x03")
    rest, _ = await asyncio.wait_for(process.communicate(), 40)
    text = rest.decode()
    assert process.returncode == 0, text
    assert "nats-server        stopped" in text
    assert "Error" not in text
    assert "Interrupt" not in text
