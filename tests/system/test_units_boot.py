"""The units under a real systemd: they start, are confined as they say, and end as they should."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.needs import Reason, needs, skip
from tests.harness.systemd_boot import Machine, booted, obstacle
from tests.harness.systemd_units import add_agent_users, fleet_guest, instead, unit_files

pytestmark = needs(obstacle() is None, obstacle())

PROBE = (Path(__file__).parent / "unit_probe.py").read_text()
PROBE_UNIT = """\
[Service]
ExecStart=
ExecStart=/opt/agentbus/current/bin/python /opt/agentbus/probe.py
WatchdogSec=3s
RestartSec=100ms
"""
GIT = "git -c safe.directory=*"
BROKEN_UNIT = "[Service]\nExecStart=\nExecStart=/bin/sh -c 'exit 78'\n"
SERVER = """\
listen: "127.0.0.1:4222"
jetstream { store_dir: "/var/lib/agentbus/nats/jetstream", max_mem: 16MB, max_file: 64MB }
"""
FOLDERS = """
set -e
cd /var/lib && mkdir -p agentbus && cd agentbus
mkdir -p nats/conf live releases/probe/1 releases/other/1 credentials/{probe,broken,other,approvals,applier} state/other
chmod 700 credentials
mv /root/nats-server.conf nats/conf/nats-server.conf
for name in probe broken other approvals applier; do (umask 077; echo "key of $name" >credentials/$name/bus.nk); done
echo 'agent: {}' | tee releases/probe/1/agent.yaml >releases/other/1/agent.yaml
ln -s ../releases/probe/1 live/probe
git init --quiet --bare --initial-branch=main fleet.git
"""


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    """A booted guest with the fleet's folders, made the way an operator makes them."""
    files = {
        "/root/nats-server.conf": SERVER,
        "/opt/agentbus/probe.py": PROBE,
        "/etc/systemd/system/agent@probe.service.d/test.conf": PROBE_UNIT,
        "/etc/systemd/system/agent@broken.service.d/test.conf": BROKEN_UNIT,
    }
    with booted(fleet_guest(files)) as guest:
        guest.run(f"systemd-sysusers && {add_agent_users('probe', 'broken', 'other')}").check()
        guest.run(FOLDERS).check()
        guest.run("systemd-tmpfiles --create agentbus.conf").check()
        yield guest


def answer_of_the_server(machine: Machine) -> str:
    """The first line that nats-server says to a new connection; polled, since the unit cannot wait for it."""
    script = "exec 3<>/dev/tcp/127.0.0.1/4222 && read -r -t 5 line <&3 && echo $line"
    deadline = time.monotonic() + 10
    while (tried := machine.run(script)).code != 0 and time.monotonic() < deadline:
        time.sleep(0.05)
    return tried.check()


@pytest.fixture
def probe(machine: Machine) -> dict[str, object]:
    """The probe runs as agent `probe`; what it found out is the value."""
    machine.run("systemctl start nats-server").check()
    answer_of_the_server(machine)
    machine.run("systemctl start agent@probe").check()
    found: dict[str, object] = json.loads(machine.run("cat /var/lib/agentbus/state/probe/found.json").check())
    return found


def test_systemd_accepts_every_line(machine: Machine) -> None:
    """systemd finds nothing to say about the installed units: a setting it ignores would be named."""
    units = " ".join(f"'{path}'" for path in unit_files() if path.startswith("/etc/systemd/system/"))
    checked = machine.run(f"systemd-analyze verify --man=no {units}")
    assert (checked.code, checked.out + checked.err) == (0, "")


def test_nats_server_serves_in_its_sandbox(machine: Machine) -> None:
    """The real server answers on loopback, as user nats, with JetStream's files in its own folder."""
    machine.run("systemctl start nats-server").check()
    assert answer_of_the_server(machine).startswith("INFO ")
    pid = machine.properties("nats-server", "MainPID")["MainPID"]
    assert machine.run(f"ps -o user= -p {pid}").check() == "nats"
    assert machine.run("stat -c %U:%a /var/lib/agentbus/nats/jetstream/jetstream").check().startswith("nats:")


def test_nats_server_is_not_started_on_a_full_disk(machine: Machine) -> None:
    """It ends before the server runs, and the journal says what to do; with room it starts."""
    small, store = "/run/systemd/system/nats-server.service.d", "/var/lib/agentbus/nats/jetstream"
    machine.run("systemctl stop nats-server").check()
    machine.run(f"mkdir -p {small} {store} && mount -t tmpfs -o size=8m tmpfs {store} && chown nats: {store}").check()
    machine.run(f"printf '[Service]\nRestart=no\n' >{small}/once.conf && systemctl daemon-reload").check()
    try:
        assert machine.run("systemctl start nats-server").code != 0
        assert "has less than 16 MiB left: make room" in machine.journal("nats-server")
    finally:
        machine.run(
            f"umount {store}; rm -r {small}; systemctl daemon-reload; systemctl reset-failed nats-server"
        ).check()
    machine.run("systemctl start nats-server").check()
    assert answer_of_the_server(machine).startswith("INFO ")


def test_nats_server_reloads_and_stops_in_order(machine: Machine) -> None:
    """`systemctl reload` reaches the server and keeps the process; `systemctl stop` counts as success."""
    machine.run("systemctl start nats-server").check()
    answer_of_the_server(machine)
    before = machine.properties("nats-server", "MainPID")
    machine.run("systemctl reload nats-server").check()
    deadline = time.monotonic() + 10
    while "Reloaded server configuration" not in machine.journal("nats-server") and time.monotonic() < deadline:
        time.sleep(0.05)
    assert "Reloaded server configuration" in machine.journal("nats-server")
    assert machine.properties("nats-server", "MainPID") == before
    machine.run("systemctl stop nats-server").check()
    assert machine.properties("nats-server", "Result", "ActiveState") == {
        "Result": "success",
        "ActiveState": "inactive",
    }
    machine.run("systemctl start nats-server").check()


def test_the_server_cannot_change_its_own_configuration(machine: Machine) -> None:
    """Who the server trusts is in a file that the server may read and not write."""
    config = "/var/lib/agentbus/nats/conf/nats-server.conf"
    machine.run("systemctl stop nats-server").check()
    said = instead(
        machine, "nats-server", f"cat {config}; echo >>{config} || echo refused; touch {config}.new || echo refused"
    )
    assert "store_dir" in said
    assert said.count("refused\n") == 2


def test_an_agent_has_what_it_needs(probe: dict[str, object]) -> None:
    """Under the full sandbox the libraries load, git runs, and keys, state, /tmp and loopback can be used."""
    assert probe["user"] == "agent-probe"
    assert probe["key"] == "key of probe\n"
    assert str(probe["git"]).startswith("git version")
    assert probe["release"] == "agent: {}\n"
    assert probe["server"] == "INFO"
    assert probe["child_process"] == 0
    assert probe["state_written"] is True


def test_an_agent_has_nothing_else(probe: dict[str, object]) -> None:
    """What the sandbox promises to refuse is refused, tried from inside."""
    refused = probe["refused"]
    assert isinstance(refused, dict)
    assert [name for name, was_refused in refused.items() if not was_refused] == []
    assert probe["fleet_folder"] == ["live", "public", "releases", "state"]
    assert probe["others_state"] == ["probe"]
    assert probe["other_processes"] == []
    assert probe["capabilities"] == "0000000000000000"


def test_an_agent_sees_keys_that_are_replaced_and_cannot_write_them(machine: Machine, probe: dict[str, object]) -> None:
    """The public keys of the fleet's agents, as provisioning leaves them, are read by a running agent when they change."""
    refused = probe["refused"]
    assert isinstance(refused, dict)
    assert refused["write the keys that it trusts"]
    keys = "/var/lib/agentbus/public/agents.json"
    read = f"nsenter -t {machine.properties('agent@probe', 'MainPID')['MainPID']} -m setpriv --reuid agent-probe cat {keys}"
    for content in ("first", "second"):
        machine.run(f"echo {content} >{keys}.new && chmod 644 {keys}.new && mv {keys}.new {keys}").check()
        assert machine.run(read).check() == content


def test_signs_of_life_are_accepted(machine: Machine, probe: dict[str, object]) -> None:
    """systemd takes the event loop's signs of life, and shows its status line."""
    unit, name = "agent@probe", "WatchdogTimestampMonotonic"
    first = machine.properties(unit, name)
    deadline = time.monotonic() + 20
    while machine.properties(unit, name) == first and time.monotonic() < deadline:
        time.sleep(0.05)
    assert machine.properties(unit, name) != first
    assert machine.properties(unit, "StatusText", "SubState") == {"StatusText": "serving", "SubState": "running"}


def test_a_blocked_loop_is_killed_and_started_again(machine: Machine, probe: dict[str, object]) -> None:
    """A loop that is blocked is aborted by the watchdog, shows where it was blocked, and runs again."""
    unit = "agent@probe"
    before = machine.properties(unit, "MainPID", "NRestarts")
    machine.run(f"systemctl kill --kill-whom=main --signal=USR1 {unit}").check()
    machine.wait_for(unit, NRestarts=str(int(before["NRestarts"]) + 1), ActiveState="active")
    assert machine.properties(unit, "MainPID")["MainPID"] != before["MainPID"]
    journal = machine.journal(unit)
    assert "Watchdog timeout" in journal
    assert "in block_the_loop" in journal


def test_an_agent_outlives_a_restart_of_the_server(machine: Machine, probe: dict[str, object]) -> None:
    """Restarting nats-server leaves the agents' processes alone."""
    before = machine.properties("agent@probe", "MainPID")
    machine.run("systemctl restart nats-server").check()
    assert machine.properties("agent@probe", "MainPID", "ActiveState") == {**before, "ActiveState": "active"}


def test_stopping_an_agent_is_no_failure(machine: Machine, probe: dict[str, object]) -> None:
    """SIGTERM reaches the process, which ends in order."""
    machine.run("systemctl stop agent@probe").check()
    assert machine.properties("agent@probe", "Result", "ExecMainStatus") == {"Result": "success", "ExecMainStatus": "0"}


def test_bad_configuration_fails_once(machine: Machine) -> None:
    """Exit status 78 is one failure: systemd does not try again."""
    assert machine.run("systemctl start agent@broken").code != 0
    expected = {"ActiveState": "failed", "NRestarts": "0", "ExecMainStatus": "78"}
    assert machine.properties("agent@broken", *expected) == expected
    machine.run("systemctl reset-failed agent@broken")


def test_approvals_read_the_repository_and_cannot_write_it(machine: Machine) -> None:
    """git in the approval service reads the applier's repository; writing is refused; no other folder is there."""
    git = f"{GIT} -C /var/lib/agentbus/fleet.git"
    script = f"ls /var/lib/agentbus; {git} rev-parse --git-dir; echo x | {git} hash-object -w --stdin || echo refused"
    said = instead(machine, "agentbus-approvals", f"{script}; cat $CREDENTIALS_DIRECTORY/approvals_bus.nk")
    assert "fleet.git\nstate\n.\n" in said
    assert "refused\nkey of approvals\n" in said


def test_the_applier_writes_what_is_in_force(machine: Machine) -> None:
    """The applier writes repository, releases and links, and nothing else of the fleet's folder."""
    script = f"""
        cd /var/lib/agentbus
        echo x | {GIT} -C fleet.git hash-object -w --stdin || echo cannot write the repository
        for folder in releases/probe live state/applier nats state/other . /opt/agentbus /etc; do
            touch $folder/new 2>/dev/null && rm $folder/new && echo can write $folder
        done
        cat $CREDENTIALS_DIRECTORY/applier_bus.nk
        ls credentials 2>/dev/null || echo keys are hidden"""
    said = instead(machine, "agentbus-applier", script)
    assert [line for line in said.splitlines() if line.startswith("can write")] == [
        "can write releases/probe",
        "can write live",
        "can write state/applier",
    ]
    assert "cannot write the repository" not in said
    assert "key of applier\nkeys are hidden\n" in said


def test_what_the_applier_puts_in_force_is_read_by_those_concerned(machine: Machine) -> None:
    """New objects and releases are readable: for the approval service, and for the agent after its restart."""
    script = f"""
        cd /var/lib/agentbus
        mkdir releases/probe/2 && echo "agent: {{}}  # second" >releases/probe/2/agent.yaml
        ln -s ../releases/probe/2 live/new && mv -T live/new live/probe
        echo approved | {GIT} -C fleet.git hash-object -w --stdin"""
    written = instead(machine, "agentbus-applier", script).strip()
    read = instead(machine, "agentbus-approvals", f"{GIT} -C /var/lib/agentbus/fleet.git cat-file blob {written}")
    assert read == "approved\n"
    machine.run("systemctl start nats-server && systemctl restart agent@probe").check()
    found = json.loads(machine.run("cat /var/lib/agentbus/state/probe/found.json").check())
    machine.run("cd /var/lib/agentbus && ln -sfn ../releases/probe/1 live/probe").check()
    assert found["release"] == "agent: {}  # second\n"


@pytest.mark.parametrize(
    ("unit", "folders"),
    [
        ("nats-server", ["nats/jetstream"]),
        ("agentbus-approvals", ["state/approvals"]),
        ("agentbus-applier", ["state/applier", "releases/probe", "live", "fleet.git"]),
    ],
)
def test_what_a_process_writes_it_cannot_run(machine: Machine, unit: str, folders: list[str]) -> None:
    """A program that was written to a folder of the process's own does not start from there."""
    script = f"""
        for folder in {" ".join(folders)}; do
            program=/var/lib/agentbus/$folder/program
            cp /usr/bin/true $program && echo written; $program 2>/dev/null || echo refused with $?; rm $program
        done"""
    machine.run("systemctl stop nats-server").check()
    assert instead(machine, unit, script).count("written\nrefused with 126\n") == len(folders)


def test_the_applier_may_restart_agents_and_do_nothing_else(machine: Machine, probe: dict[str, object]) -> None:
    """polkit lets the applier restart and stop agents, and touch no other unit."""
    if not machine.run("command -v /usr/lib/polkit-1/polkitd").out:
        skip(Reason.POLKIT)
    before = machine.properties("agent@probe", "MainPID")
    commands = {
        "reset-failed agent@probe.service": True,  # before the stop: a stopped unit is not loaded any more
        "stop agent@probe.service": True,
        "restart agent@probe.service": True,
        "reset-failed agent-1@probe.service": False,  # allowed, and not loaded
        "stop agent-1@probe.service": True,
        "stop agent-8@probe.service": False,
        "stop agents-1@probe.service": False,
        "enable agent@probe.service": False,
        "restart nats-server.service": False,
        "restart agentbus-approvals.service": False,
        "daemon-reload": False,
        "set-property agent@probe.service MemoryMax=1G": False,
    }
    script = "; ".join(f"systemctl --no-ask-password {c} && echo did {c}" for c in commands)
    said = instead(machine, "agentbus-applier", script + "; true")
    done = [line.removeprefix("did ") for line in said.splitlines() if line.startswith("did ")]
    assert done == [command for command, is_allowed in commands.items() if is_allowed], said
    assert machine.properties("agent@probe", "MainPID") != before


def test_stopping_the_target_stops_the_fleet(machine: Machine, probe: dict[str, object]) -> None:
    """One command stops every process of the fleet, and nothing is left in a failed state."""
    units = "nats-server.service agent@probe.service"
    machine.run(f"systemctl enable {units} && systemctl start agentbus.target && systemctl is-active {units}").check()
    machine.run("systemctl stop agentbus.target").check()
    machine.wait_for("nats-server", ActiveState="inactive")
    machine.wait_for("agent@probe", ActiveState="inactive")
    assert machine.run("systemctl --failed --no-legend").check() == ""
