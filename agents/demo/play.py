"""Runs the steps and reports them."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

from agents.demo.journeys import STEPS, Step
from agents.demo.stage import Stage, set_stage
from schemas.errors import AgentbusError


def demo(*, keep: bool) -> None:
    """Play every step on a fleet of its own; exits 0 when all passed, else 1."""
    folder = Path(tempfile.mkdtemp(prefix="agentbus-demo-"))
    stage = set_stage(folder)
    print(
        f"using {'the nats command ' + stage.nats if stage.nats else 'our own caller: the nats command is not installed'}"
    )
    try:
        stage.told("up", "--detach", "--fleet", str(folder / "fleet"))
        passed = sum([_passes(stage, step) for step in STEPS])
    finally:
        stage.agentbus("down")
        if keep:
            print(f"kept: {stage.home.root}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    print(f"demo: {passed} of {len(STEPS)} steps passed")
    raise SystemExit(0 if passed == len(STEPS) else 1)


def _passes(stage: Stage, step: Step) -> bool:
    began = time.monotonic()
    try:
        step.play(stage)
    except (AgentbusError, ValueError, KeyError) as error:
        print(f"FAIL  {step.title}: {error}", flush=True)
        return False
    print(f"PASS  {step.title} ({time.monotonic() - began:.1f} s)", flush=True)
    return True
