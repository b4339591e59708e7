"""The README's Python block."""

from __future__ import annotations

import json
import re
import subprocess
import sys

from tests.harness.fleet import CHECKOUT, RunningFleet


def test_the_sdks_client_gets_an_answer_as_the_readme_says(fleet: RunningFleet) -> None:
    """The README's Python block, with the test's own server and keys, prints the greeter's answer."""
    (block,) = re.findall(r"^```python\n(.*?)^```", (CHECKOUT / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    context = json.loads((fleet.home.contexts / "nats" / "context" / "ops.json").read_text())
    script = block.replace("nats://127.0.0.1:4222", context["url"]).replace(".agentbus/", f"{fleet.home.root}/")
    done = subprocess.run(
        [sys.executable, "-c", f"{script}\nimport asyncio\nasyncio.run(hello())"],
        cwd=CHECKOUT, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert "You said: hello" in done.stdout, done.stderr
