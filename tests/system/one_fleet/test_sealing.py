"""The sealed trail of a whole fleet: proven with public keys alone, sealed on after a kill."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

from agents.demo.stage import eventually
from bus.audit.tlog.policy import Policy
from tests.harness import tlog_verifier
from tests.harness.fleet import RunningFleet
from tests.system.test_sealing import sealed_up_to


def test_an_event_is_proven_offline(fleet: RunningFleet, tmp_path: Path) -> None:
    """The proof needs neither the fleet nor our verifier; a changed one, or other keys, prove nothing."""
    eventually(lambda: sealed_up_to(fleet) > 0, "the trail is sealed")
    proof, policy = tmp_path / "p.tlog-proof", tmp_path / "seal.policy"
    eventually(lambda: fleet.run("audit", "prove", "1", "-o", str(proof), check=False).returncode == 0, "it is proven")
    policy.write_text(fleet.home.seal_policy.read_text())
    nowhere = {"AGENTBUS_HOME": str(tmp_path / "nowhere")}
    checked = fleet.run("audit", "check-proof", str(proof), "--policy", str(policy), "--json", env=nowhere)
    said = json.loads(checked.stdout)
    assert (said["sequence"], set(said["witnesses"])) == (1, {"witness-a", "witness-b"})
    keys = Policy.parse(policy.read_text())
    vkeys = [str(key) for key in keys.witnesses.values()]
    assert said["events"][0]["id"].encode() in tlog_verifier.check(proof.read_bytes(), str(keys.logs[0]), vkeys)
    proof.write_bytes(proof.read_bytes().replace(b"index 0", b"index 1"))
    refused = fleet.run("audit", "check-proof", str(proof), "--policy", str(policy), env=nowhere, check=False)
    assert (refused.returncode, "proves nothing" in refused.stderr) == (1, True)
    without = fleet.run("audit", "check-proof", str(proof), env=nowhere, check=False)
    assert (without.returncode, "name a policy that you were given" in without.stderr) == (78, True)


def test_sealing_goes_on_after_a_kill(fleet: RunningFleet) -> None:
    """A sealer and a witness that were killed are started again and seal on; the trail is sound, and they agree."""
    eventually(lambda: sealed_up_to(fleet) > 0, "the trail is sealed")
    before = sealed_up_to(fleet)
    for name in ("sealer", "witness-a"):
        os.kill(fleet.processes()[name]["pid"], signal.SIGKILL)
    fleet.run("ask", "textstats", "--data", '{"text": "one"}')
    eventually(lambda: sealed_up_to(fleet) > before, "new messages are sealed")
    eventually(lambda: "cosigned by witness-a, witness-b" in fleet.run("audit", "verify").stdout, "witnesses agree")
    size = str(sealed_up_to(fleet))
    state = fleet.home.state("witness-b") / "checkpoint"
    assert fleet.run("audit", "consistency", str(state), str(state)).stdout.startswith(
        f"consistent: the checkpoint of {size}"
    )
