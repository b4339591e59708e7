"""The units as files: systemd accepts every line, and every promise of UNITS.md stands in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from approvals.applying import systemd_control
from approvals.trial.sandbox import CHECK_SOCKET
from tests.harness.needs import Reason, needs
from tests.harness.systemd_units import UNITS, unit_files
from tests.units.files import (
    SERVICES,
    Directive,
    can_analyze,
    directives,
    drop_ins,
    exposure,
    root_with_units,
    verify,
    worst_exposure,
)

CHECK, TOOL = "agentbus-check@.service", "agent-tool@.service"
PROVISION = "agentbus-provision.service"
INSTANCE = "agent-1@.service"
FILTER = "agentbus-packet-filter.service"
LASTING = [name for name in SERVICES if name not in {CHECK, TOOL, PROVISION, FILTER}]
"""Those that run until they are stopped; a check, a command, provisioning and the packet filter end by themselves."""
OURS = [name for name in LASTING if name != "nats-server.service"]

EVERY_SERVICE: set[Directive] = {
    ("Service", "LimitCORE", "0"),
    ("Service", "NoNewPrivileges", "yes"),
    ("Service", "LockPersonality", "yes"),
    ("Service", "MemoryDenyWriteExecute", "yes"),
    ("Service", "PrivateDevices", "yes"),
    ("Service", "ProcSubset", "pid"),
    ("Service", "ProtectClock", "yes"),
    ("Service", "ProtectControlGroups", "yes"),
    ("Service", "ProtectHome", "yes"),
    ("Service", "ProtectHostname", "yes"),
    ("Service", "ProtectKernelLogs", "yes"),
    ("Service", "ProtectKernelModules", "yes"),
    ("Service", "ProtectKernelTunables", "yes"),
    ("Service", "ProtectProc", "invisible"),
    ("Service", "ProtectSystem", "strict"),
    ("Service", "RemoveIPC", "yes"),
    ("Service", "RestrictNamespaces", "yes"),
    ("Service", "RestrictRealtime", "yes"),
    ("Service", "RestrictSUIDSGID", "yes"),
    ("Service", "SystemCallArchitectures", "native"),
    ("Service", "SystemCallErrorNumber", "EPERM"),
    ("Service", "SystemCallFilter", "@system-service"),
    ("Service", "SystemCallFilter", "~@privileged @resources"),
    ("Service", "IPAddressDeny", "any"),
}
POWERLESS: set[Directive] = {
    ("Service", "CapabilityBoundingSet", ""),
    ("Service", "AmbientCapabilities", ""),
    ("Service", "PrivateUsers", "yes"),
}
"""Every service but the one that has to tell the kernel something."""
EVERY_LASTING_SERVICE: set[Directive] = {
    ("Unit", "PartOf", "agentbus.target"),
    ("Unit", "StartLimitIntervalSec", "300"),
    ("Unit", "StartLimitBurst", "5"),
    ("Service", "KillMode", "mixed"),
    ("Service", "Restart", "on-failure"),
    ("Service", "RestartSec", "2s"),
    ("Service", "IPAddressAllow", "localhost"),
    ("Install", "WantedBy", "agentbus.target"),
}
EVERY_SERVICE_OF_OURS: set[Directive] = {
    ("Service", "RuntimeDirectoryMode", "0750"),
    ("Unit", "Wants", "nats-server.service"),
    ("Unit", "After", "nats-server.service"),
    ("Service", "Type", "notify"),
    ("Service", "NotifyAccess", "main"),
    ("Service", "WatchdogSec", "30s"),
    ("Service", "Environment", "PYTHONFAULTHANDLER=1"),
    ("Service", "RestartPreventExitStatus", "78"),
    ("Service", "TimeoutStopSec", "40s"),
    ("Service", "SocketBindDeny", "any"),
    ("Service", "ExecReload", "/bin/sh -c 'kill -HUP $$MAINPID'"),
}
ONE_SERVICE: dict[str, set[Directive]] = {
    "nats-server.service": {
        ("Service", "UMask", "0077"),
        ("Unit", "Wants", "agentbus-packet-filter.service"),
        ("Service", "User", "nats"),
        ("Service", "ExecStart", "/opt/agentbus/current/bin/nats-server -c /etc/agentbus/nats-server.conf"),
        ("Service", "StateDirectory", "agentbus/nats/jetstream"),
        ("Service", "EnvironmentFile", "-/etc/agentbus/credentials/nats-server/store.env"),
        ("Service", "KillSignal", "SIGTERM"),
    },
    "agentbus-approvals.service": {
        ("Service", "UMask", "0077"),
        ("Service", "User", "agentbus-approvals"),
        ("Service", "ExecStart", "/opt/agentbus/current/bin/agentbus approvals serve"),
        ("Service", "LoadCredential", "approvals:/etc/agentbus/credentials/approvals"),
        ("Service", "StateDirectory", "agentbus/state/approvals"),
        ("Service", "BindReadOnlyPaths", "/var/lib/agentbus/fleet.git"),
    },
    "agentbus-applier.service": {
        ("Service", "UMask", "0027"),
        ("Service", "User", "agentbus-applier"),
        ("Service", "Group", "agentbus"),
        ("Service", "ExecStart", "/opt/agentbus/current/bin/agentbus applier serve"),
        ("Service", "LoadCredential", "applier:/etc/agentbus/credentials/applier"),
        ("Service", "StateDirectory", "agentbus/state/applier"),
    },
    "agentbus-sealer.service": {
        ("Service", "UMask", "0077"),
        ("Service", "User", "agentbus-sealer"),
        ("Service", "ExecStart", "/opt/agentbus/current/bin/agentbus sealer serve"),
        ("Service", "LoadCredential", "sealer:/etc/agentbus/credentials/sealer"),
        ("Service", "StateDirectory", "agentbus/state/sealer"),
        ("Service", "BindReadOnlyPaths", "/var/lib/agentbus/public"),
    },
    "agentbus-witness@.service": {
        ("Service", "UMask", "0077"),
        ("Service", "User", "seal-%i"),
        ("Service", "ExecStart", "/opt/agentbus/current/bin/agentbus witness serve %i"),
        ("Service", "LoadCredential", "witness:/etc/agentbus/credentials/%i"),
        ("Service", "StateDirectory", "agentbus/state/%i"),
        ("Service", "BindReadOnlyPaths", "/var/lib/agentbus/public"),
    },
    PROVISION: {
        ("Unit", "StartLimitIntervalSec", "300"),
        ("Unit", "StartLimitBurst", "20"),
        ("Service", "Type", "oneshot"),
        ("Service", "NotifyAccess", "main"),
        ("Service", "UMask", "0077"),
        ("Service", "User", "agentbus-provision"),
        ("Service", "Group", "nats"),
        ("Service", "ExecStart", "/opt/agentbus/current/bin/agentbus provision --approved"),
        ("Service", "LoadCredential", "provision:/etc/agentbus/credentials/provision"),
        ("Service", "TimeoutStartSec", "45s"),
        ("Service", "StateDirectory", "agentbus/state/provision"),
        ("Service", "TemporaryFileSystem", "/var/lib/agentbus:ro"),
        ("Service", "IPAddressAllow", "localhost"),
        ("Service", "SocketBindDeny", "any"),
    },
    FILTER: {
        ("Unit", "Before", "nats-server.service"),
        ("Unit", "PartOf", "agentbus.target nftables.service"),
        ("Unit", "ConditionPathExists", "/usr/sbin/nft"),
        ("Service", "UMask", "0077"),
        ("Service", "Type", "oneshot"),
        ("Service", "RemainAfterExit", "yes"),
        ("Service", "DynamicUser", "yes"),
        ("Service", "CapabilityBoundingSet", "CAP_NET_ADMIN"),
        ("Service", "AmbientCapabilities", "CAP_NET_ADMIN"),
        ("Service", "RestrictAddressFamilies", "AF_NETLINK"),
        ("Service", "ExecStart", "/usr/sbin/nft -f /var/lib/agentbus/nats/packet-filter.nft"),
        ("Service", "ExecReload", "/usr/sbin/nft -f /var/lib/agentbus/nats/packet-filter.nft"),
        ("Service", "ExecStop", '/usr/sbin/nft "table inet agentbus; delete table inet agentbus"'),
        ("Service", "TemporaryFileSystem", "/var:ro"),
        ("Service", "SocketBindDeny", "any"),
    },
    CHECK: {
        ("Service", "UMask", "0077"),
        ("Service", "User", "agentbus-check"),
        ("Service", "TemporaryFileSystem", "/tmp:size=64M,mode=1777,nosuid,nodev,noexec"),
        ("Service", "ExecStart", "/opt/agentbus/current/bin/agentbus agent check - --seconds 50"),
        ("Service", "StandardInput", "socket"),
        ("Service", "StandardOutput", "socket"),
        ("Service", "KillMode", "control-group"),
        ("Service", "RuntimeMaxSec", "60s"),
        ("Service", "TemporaryFileSystem", "/run:ro /var:ro"),
        ("Service", "InaccessiblePaths", "-/etc/agentbus"),
        ("Service", "PrivateNetwork", "yes"),
        ("Service", "RestrictAddressFamilies", "AF_UNIX"),
        ("Service", "CPUQuota", "100%"),
        ("Service", "MemoryMax", "1G"),
        ("Service", "MemorySwapMax", "0"),
        ("Service", "TasksMax", "64"),
        ("Service", "SocketBindDeny", "any"),
    },
    TOOL: {
        ("Service", "DynamicUser", "yes"),
        ("Service", "User", "t%i"),
        ("Service", "ExecStart", "/opt/agentbus/current/bin/agentbus agent command"),
        ("Service", "StandardInput", "socket"),
        ("Service", "StandardOutput", "socket"),
        ("Service", "KillMode", "control-group"),
        ("Service", "RuntimeMaxSec", "60s"),
        ("Service", "InaccessiblePaths", "/tmp /var -/boot -/lost+found"),
        ("Service", "TemporaryFileSystem", "/etc:ro /media:ro /mnt:ro /opt:ro /run:ro /srv:ro"),
        ("Service", "TemporaryFileSystem", "/workspace:size=96M,mode=1777,nosuid,nodev,noexec"),
        ("Service", "TemporaryFileSystem", "/dev/shm:size=16M,mode=1777,nosuid,nodev,noexec"),
        ("Service", "PrivateNetwork", "yes"),
        ("Service", "RestrictAddressFamilies", "none"),
        ("Service", "CPUQuota", "100%"),
        ("Service", "MemoryMax", "256M"),
        ("Service", "MemorySwapMax", "0"),
        ("Service", "TasksMax", "64"),
        ("Service", "UMask", "0077"),
        ("Service", "SocketBindDeny", "any"),
    },
    INSTANCE: {("Service", "Environment", "AGENTBUS_SLOT=%j"), ("Service", "StateDirectory", "agentbus/state/%i.%j")},
    "agent@.service": {
        ("Service", "UMask", "0077"),
        ("Service", "User", "agent-%i"),
        ("Service", "ExecStart", "/opt/agentbus/current/bin/agentbus agent run /var/lib/agentbus/live/%i/agent.yaml"),
        ("Service", "LoadCredential", "agent:/etc/agentbus/credentials/%i"),
        ("Service", "StateDirectory", "agentbus/state/%i"),
        ("Service", "Slice", "agents.slice"),
        ("Service", "OOMPolicy", "continue"),
        ("Service", "CPUQuota", "200%"),
        ("Service", "MemoryHigh", "1536M"),
        ("Service", "MemoryMax", "2G"),
        ("Service", "TasksMax", "256"),
    },
}

needs_analyze = needs(can_analyze(), Reason.ANALYZE)


@pytest.fixture
def root() -> Iterator[Path]:
    """A root folder with the distribution's units, ours, and the programs that ours name."""
    with root_with_units() as (folder, _):
        yield folder


@needs_analyze
def test_systemd_has_nothing_to_say_about_the_units() -> None:
    """Verification of all units, and of an agent with each drop-in, prints nothing."""
    assert drop_ins()
    with root_with_units() as (root, units):
        assert verify(root, *units) == ""


@needs_analyze
@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("WatchdogSec=30s # half a minute", "30s # half a minute"),
        ("NoSuchSetting=yes", "NoSuchSetting"),
        ("ExecStartPre=/opt/agentbus/nothing", "/opt/agentbus/nothing"),
    ],
)
def test_the_verification_would_notice(root: Path, line: str, complaint: str) -> None:
    """A comment after a value, an unknown setting and a missing program are each named: silence is a result."""
    unit = root / "etc/systemd/system/agent@.service"
    unit.write_text(unit.read_text().replace("[Service]\n", f"[Service]\n{line}\n"))
    assert complaint in verify(root, "agent@.service")


@needs_analyze
@pytest.mark.parametrize("name", SERVICES)
def test_exposure_stays_low(name: str) -> None:
    """`systemd-analyze security` scores every service at or under its bound."""
    assert exposure(UNITS / name) <= worst_exposure(name)


@pytest.mark.parametrize("path", sorted(unit_files().values()), ids=lambda path: path.name)
def test_no_comment_stands_after_a_value(path: Path) -> None:
    """systemd takes such a comment into the value and ignores the setting."""
    values = [line for line in path.read_text().splitlines() if not line.lstrip().startswith(("#", ";", "//"))]
    assert [line for line in values if re.search(r"\s[#;]|\s//", line)] == []


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_has_what_is_promised(name: str) -> None:
    """The table of promised directives stands in the unit, each in the right section."""
    promised = EVERY_SERVICE | ONE_SERVICE[name] | (POWERLESS if name != FILTER else set())
    promised |= EVERY_LASTING_SERVICE if name in LASTING else set()
    promised |= EVERY_SERVICE_OF_OURS if name in OURS else set()
    assert promised - set(directives(UNITS / name)) == set()


@pytest.mark.parametrize("unit", [CHECK, TOOL])
def test_code_that_nobody_has_read_is_given_no_key_and_no_way_out(unit: str) -> None:
    """It gets no credential, no folder of the fleet and no address at all."""
    given = {name for _, name, _ in directives(UNITS / unit)}
    assert given & {"LoadCredential", "SetCredential", "StateDirectory", "BindPaths", "ReadWritePaths"} == set()
    assert given & {"IPAddressAllow", "SocketBindAllow", "SupplementaryGroups", "EnvironmentFile"} == set()


def test_a_further_instance_is_confined_as_the_first() -> None:
    """The same unit but for the slot, a state of its own and the words about it; the same file serves every slot."""
    first, further = directives(UNITS / "agent@.service"), directives(UNITS / INSTANCE)
    assert ("Service", "Environment", "AGENTBUS_SLOT=%j") in further
    same = [(s, n, v.replace("%i.%j", "%i").replace(", instance %j", "")) for s, n, v in further]
    same.remove(("Service", "Environment", "AGENTBUS_SLOT=%j"))
    assert sorted(same) == sorted(first)


def test_provisioning_takes_nothing_from_who_starts_it() -> None:
    """No instance name, no specifier, no file of variables: whoever may start it cannot say what it does. And it ends in time."""
    found = directives(UNITS / PROVISION)
    assert [value for _, name, value in found if "%" in value and name != "SyslogIdentifier"] == []
    given = {name for _, name, _ in found}
    assert (
        given & {"EnvironmentFile", "PassEnvironment", "StandardInput", "ExecStartPre", "ExecStartPost", "WantedBy"}
        == set()
    )
    values = {name: value for _, name, value in found}
    assert float(values["TimeoutStartSec"].removesuffix("s")) < systemd_control.TIMEOUT_S


def test_only_the_applier_may_ask_for_a_check() -> None:
    """The socket is its user's alone, and each connection starts a process of its own."""
    wanted = {
        ("Socket", "ListenStream", str(CHECK_SOCKET)),
        ("Socket", "SocketUser", "agentbus-applier"),
        ("Socket", "SocketMode", "0600"),
        ("Socket", "Accept", "yes"),
        ("Install", "WantedBy", "agentbus.target"),
    }
    assert wanted - set(directives(UNITS / "agentbus-check.socket")) == set()


def test_only_the_agent_may_have_commands_run() -> None:
    """Its socket is its user's alone, comes and goes with its units, and is where they look for it."""
    socket = "/run/agentbus/tool/%i.sock"
    wanted = {
        ("Unit", "StopWhenUnneeded", "yes"),
        ("Socket", "ListenStream", socket),
        ("Socket", "SocketUser", "agent-%i"),
        ("Socket", "SocketGroup", "root"),
        ("Socket", "SocketMode", "0600"),
        ("Socket", "Accept", "yes"),
    }
    assert wanted - set(directives(UNITS / "agent-tool@.socket")) == set()
    wanting = ("Unit", "Wants", "agent-tool@%i.socket")
    assert [name for name in SERVICES if wanting in directives(UNITS / name)] == [INSTANCE, "agent@.service"]
    told = ("Service", "Environment", f"AGENTBUS_TOOL_SOCKET={socket}")
    assert [name for name in SERVICES if told in directives(UNITS / name)] == [INSTANCE, "agent@.service"]


@pytest.mark.parametrize("name", SERVICES)
def test_nothing_undoes_a_promise(name: str) -> None:
    """A directive that is given twice is one of those that add up: the last one would win otherwise."""
    adding = {
        "ConditionPathExists",
        "Wants",
        "After",
        "Environment",
        "SystemCallFilter",
        "BindPaths",
        "BindReadOnlyPaths",
        "TemporaryFileSystem",
    }
    names = [directive for _, directive, _ in directives(UNITS / name)]
    assert {directive for directive in names if names.count(directive) > 1} <= adding


@pytest.mark.parametrize("name", SERVICES)
def test_a_refusal_starts_the_value(name: str) -> None:
    """`~` is understood only as the first character of a value."""
    assert [value for _, _, value in directives(UNITS / name) if "~" in value[1:]] == []


@pytest.mark.parametrize("name", OURS)
def test_the_server_is_wanted_and_never_required(name: str) -> None:
    """A restart of nats-server must not stop the fleet."""
    binding = {"Requires", "BindsTo", "Requisite", "Upholds"}
    assert {directive for _, directive, _ in directives(UNITS / name)} & binding == set()


@pytest.mark.parametrize("name", OURS)
def test_the_stop_timeout_outlasts_the_drain(name: str) -> None:
    """systemd waits longer than an agent's default drain before it kills."""
    from schemas.agent import Limits

    values = {directive: value for _, directive, value in directives(UNITS / name)}
    assert float(values["TimeoutStopSec"].removesuffix("s")) > Limits().drain_timeout_s


def test_there_is_no_python_beside_the_units() -> None:
    """`systemd/` is not an import name."""
    assert list(UNITS.rglob("*.py")) == []
