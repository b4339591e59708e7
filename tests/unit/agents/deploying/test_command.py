"""`agentbus deploy`: what is written, what is refused, and that nothing is run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.harness.command import agentbus
from tests.harness.deploying import AGENTS, IMAGE

GREETER = AGENTS[0]
WHERE = ("--image", IMAGE, "--nats-url", "tls://nats.example:4222")


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    """It prints the files and the next steps."""
    done = agentbus("deploy", "k8s", "greeter", GREETER, *WHERE, "--dry-run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "kind: StatefulSet" in done.stdout
    assert "kubectl apply -f agent.yaml" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_it_writes_the_same_twice_and_spares_what_is_not_its_own(tmp_path: Path) -> None:
    """The agent's folder is beside the file, unchanged; a file that a person wrote stays."""
    for _ in range(2):
        done = agentbus("deploy", "compose", "greeter", GREETER, *WHERE, "--json", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    folder = tmp_path / told["folder"]
    assert (folder / "agent" / "agent.yaml").read_bytes() == (GREETER / "agent.yaml").read_bytes()
    assert (folder / "compose.yaml").read_text() == told["files"]["compose.yaml"]
    (folder / "compose.yaml").write_text("services: {}\n")
    refused = agentbus("deploy", "compose", "greeter", GREETER, *WHERE, cwd=tmp_path)
    assert refused.returncode == 78
    assert "not overwritten" in refused.stderr
    assert (folder / "compose.yaml").read_text() == "services: {}\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("k8s", "greeter", GREETER, "--nats-url", "tls://x:4222"), "--image"),
        (("compose", "greeter", GREETER, "--image", IMAGE), "--nats-url"),
        (("compose", "greeter", GREETER, "--image", IMAGE, "--nats-url", "http://x"), "nats://HOST:PORT"),
        (("k8s", "other", GREETER, *WHERE), "not other"),
        (("k8s", "greeter", GREETER, *WHERE, "--namespace", "x\ny"), "no namespace"),
        (("k8s", "greeter", GREETER, *WHERE, "--metrics-port", "8080"), "a port each"),
    ],
    ids=["no image", "no server", "no server of NATS", "another name", "namespace", "one port"],
)
def test_a_wrong_option_is_a_sentence(tmp_path: Path, arguments: tuple[str | Path, ...], says: str) -> None:
    """With the code of a wrong configuration, and nothing is written."""
    done = agentbus("deploy", *arguments, cwd=tmp_path, env={"PATH": "/usr/bin"})
    assert done.returncode == 78
    assert says in done.stderr
    assert list(tmp_path.iterdir()) == []
