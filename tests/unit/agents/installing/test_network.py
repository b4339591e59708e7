"""What units are told of a server that is not where they look by themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.installing.network import NAME, network_files
from agents.installing.outside import PROVISIONED
from bus.surroundings import Home
from schemas.fleet import Fleet
from tests.harness.systemd_units import UNITS

HOME = Home(Path("/var/lib/agentbus"))
CA = "/var/lib/agentbus/public/ca.pem"


def lines(unit: str, **nats: object) -> list[str]:
    """What the drop-in of a unit says; nothing where it has none."""
    fleet = Fleet.model_validate({"name": "x", "agents": {"greeter": {}}, "nats": nats})
    content = network_files(fleet, HOME, UNITS).get(f"/etc/systemd/system/{unit}.service.d/{NAME}", b"")
    return content.decode().splitlines()[2:]


def test_what_units_know_by_themselves_is_not_said() -> None:
    """The default needs no file; another port is told to ours alone, and nothing is opened."""
    assert lines("agent@") == lines("nats-server") == []
    assert lines("agent@", port=4333) == ["Environment=AGENTBUS_NATS_URL=nats://127.0.0.1:4333"]
    assert lines("nats-server", port=4333) == []


@pytest.mark.parametrize(
    ("host", "server", "peers"),
    [
        ("10.1.2.3", ["IPAddressAllow=10.1.2.3"], "10.0.0.0/8"),
        ("192.168.7.1", ["IPAddressAllow=192.168.7.1"], "192.168.0.0/16"),
        ("fd00::1", ["IPAddressAllow=fd00::1"], "fc00::/7"),
        ("203.0.113.9", ["IPAddressAllow=203.0.113.9"], "any"),
        ("0.0.0.0", [], "any"),  # noqa: S104  nothing listens: it is a line of a fleet file
        ("nats.example.org", [], "any"),
    ],
)
def test_a_server_for_others_can_be_reached(host: str, server: list[str], peers: str) -> None:
    """Ours reach its one address, with its authority's certificate in sight; others reach it from its private range."""
    named = f"[{host}]" if ":" in host else host
    url = f"Environment=AGENTBUS_NATS_URL=tls://{named}:4222?ca={CA}"
    for unit in ("agent@", "agent-1@", "agentbus-approvals", "agentbus-provision", "agentbus-witness@"):
        assert lines(unit, host=host) == [url, "BindReadOnlyPaths=-/var/lib/agentbus/public", *server]
    assert lines("nats-server", host=host) == [f"IPAddressAllow={peers}"]


def test_what_runs_code_of_others_stays_shut() -> None:
    """Commands of models and checks of changes speak to nobody, wherever the server is; the rest is provisioning's."""
    fleet = Fleet.model_validate({"name": "x", "agents": {"greeter": {}}, "nats": {"host": "10.1.2.3"}})
    files = network_files(fleet, HOME, UNITS)
    assert not [path for path in files if "agent-tool" in path or "check" in path or "packet-filter" in path]
    assert all(PROVISIONED.match(path) for path in files)
