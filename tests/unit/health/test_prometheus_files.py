"""Prometheus's files: what they name exists, and Prometheus takes them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import yaml

from bus.health.from_events import ALERTED
from bus.health.metrics import BY_NAME
from bus.health.numbers import Numbers
from schemas.audit import CATALOGUE, ERROR
from tests.harness.needs import needs_promtool
from tests.test_layout import ROOT

FILES = ROOT / "systemd" / "prometheus"
_STANDARD = {"up", "process_start_time_seconds"}
_WORD = re.compile(r"\b(?:agent|agentbus|process)_[a-z_]+\b")


def _alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load((FILES / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def _said_by_promtool(*arguments: str, cwd: Path = ROOT) -> str:
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_alerts_name_what_there_is() -> None:
    """Every number in them is in the table, every event type in the catalogue; each says what to do."""
    for alert in _alerts():
        named = set(_WORD.findall(alert["expr"]))
        assert named <= BY_NAME.keys() | _STANDARD, alert["alert"]
        assert alert["labels"]["severity"] in {"critical", "warning"}
        assert set(alert["annotations"]) == {"summary", "action"}
    for type_ in re.findall(r'type="([^"]+)"', str(_alerts())):
        assert type_ in CATALOGUE


def test_what_is_alerted_about_is_0_from_the_start() -> None:
    """A counter that first appears as 1 has no increase: types that alerts name, and every error, stand there as 0."""
    named = set(re.findall(r'type="([^"]+)"', str(_alerts())))
    for pattern in re.findall(r'type=~"([^"]+)"', "\n".join(alert["expr"] for alert in _alerts())):
        plain = pattern.replace("\\\\", "\\")
        matching = {kind for kind in CATALOGUE if re.fullmatch(plain, kind)}
        assert matching
        named |= matching
    assert named | {kind for kind, row in CATALOGUE.items() if row.severity >= ERROR} == set(ALERTED)
    assert {labels[0] for labels in Numbers().values["agentbus_events_total"]} == set()


@needs_promtool
def test_promtool_takes_them() -> None:
    """The scrape configuration with its rules is valid."""
    assert "SUCCESS: 1 rule files found" in _said_by_promtool("check", "config", "prometheus.yml", cwd=FILES)


@needs_promtool
def test_alerts_come_when_they_should() -> None:
    """Series as a Prometheus has them: each alert comes of what it is about, with its words, and not before."""
    assert "SUCCESS" in _said_by_promtool("test", "rules", "tests/unit/health/alerts.test.yml")
    tried = (ROOT / "tests/unit/health/alerts.test.yml").read_text()
    assert {alert["alert"] for alert in _alerts()} <= set(re.findall(r"\bAgentbus\w+", tried))
