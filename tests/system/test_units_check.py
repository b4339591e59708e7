"""The unit that tries proposed trees, under a real systemd: asked as the applier asks, attacked from inside."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from approvals.trial.sandbox import UNIT, CheckResult
from tests.harness.needs import needs
from tests.harness.systemd_boot import Machine, booted, obstacle
from tests.harness.systemd_units import fleet_guest
from tests.harness.trees import AGENT, AGENT_FILE, HANDLER

pytestmark = needs(obstacle() is None, obstacle())

SECRET = "a key of the fleet"
FASTER = """\
[Service]
ExecStart=
ExecStart=/opt/agentbus/current/bin/agentbus agent check - --seconds 15
"""
ASKING = f"""\
import asyncio, sys
from pathlib import Path
import msgspec
from approvals.trial.sandbox import UnitSandbox
from approvals.trial.tree_tar import tar_of_folder
files = tar_of_folder(Path(sys.argv[1]))
print(msgspec.json.encode(asyncio.run(UnitSandbox().check({AGENT!r}, files))).decode())
"""
SERVING = """\
import socket
with socket.create_server(("127.0.0.1", 8099)) as server:
    while True:
        server.accept()[0].close()
"""
CONFINED = """\
import ctypes, os, shutil, signal, socket, subprocess, sys, tempfile
import pytest

FLEET = ("/var/lib/agentbus/credentials/key", "/etc/agentbus/nats-server.conf", "/var/lib/agentbus/fleet.git")

@pytest.mark.parametrize("path", [*FLEET, "/run/agentbus/check.sock", "/run/dbus/system_bus_socket", "/run/systemd/private"])
def test_is_not_there(path):
    for root in ("", "/proc/self/root", "/proc/1/root", f"/proc/{os.getppid()}/root"):
        assert not os.path.exists(root + path)

def test_cannot_speak():
    for address in (("127.0.0.1", 8099), ("::1", 8099), ("192.0.2.1", 80)):
        with pytest.raises(OSError):
            socket.create_connection(address, 2)

@pytest.mark.parametrize("folder", ["/", "/usr", "/opt/agentbus/current/bin", "/etc", "/var", "/var/tmp", "/run", "/root"])
def test_cannot_write(folder):
    with pytest.raises(OSError):
        open(f"{folder}/left", "w")

def test_cannot_start_what_it_wrote():
    program = shutil.copy("/usr/bin/true", tempfile.mkdtemp())
    with pytest.raises(OSError):
        subprocess.run([program])

def test_cannot_become_another():
    assert os.getuid() != 0
    libc = ctypes.CDLL(None)
    assert libc.unshare(0x10000000) == -1
    with pytest.raises(OSError):
        os.setuid(0)

def test_sees_no_other_process():
    seen = {int(name) for name in os.listdir("/proc") if name.isdigit()}
    assert seen <= {os.getpid(), os.getppid()}
    with pytest.raises(OSError):
        os.kill(1, signal.SIGCONT)

def test_environment():
    assert not [name for name in os.environ if "CREDENTIALS" in name or "AGENTBUS" in name]
"""
TREES = {
    "sound": "def test_one():\n    assert 1\nasync def test_two():\n    pass\n",
    "confined": CONFINED,
    "endless": "import threading\ndef test():\n    threading.Event().wait()\n",
    "forks": (
        "import os, time\ndef test():\n    for _ in range(400):\n        if os.fork() == 0:\n"
        "            time.sleep(60)\n            os._exit(0)\n"
    ),
    "memory": "def test():\n    kept = []\n    while True: kept.append(bytearray(b'x' * (1 << 24)))\n",
    "killer": "import os\ndef test():\n    os.kill(os.getppid(), 9)\n",
    "daemon": (
        "import os, subprocess, sys\ndef test():\n    if os.fork() == 0:\n        os.setsid()\n"
        "        code = 'import time; print(1, flush=True); time.sleep(600) # left-behind'\n"
        "        child = subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE)\n"
        "        child.stdout.readline()\n        os._exit(0)\n    assert os.wait()[1] == 0\n"
    ),
}


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    """A guest with the socket, something to be reached on loopback, and a key that everybody may read."""
    files = {
        "/etc/systemd/system/agentbus-check@.service.d/test.conf": FASTER,
        "/opt/agentbus/asking.py": ASKING,
        "/opt/agentbus/serving.py": SERVING,
    }
    for name, tests in TREES.items():
        folder = f"/opt/agentbus/trees/{name}"
        files |= {f"{folder}/agent.yaml": AGENT_FILE, f"{folder}/handler.py": HANDLER}
        files |= {f"{folder}/tests/test_it.py": tests}
    with booted(fleet_guest(files)) as guest:
        guest.run("systemd-sysusers").check()
        guest.run(
            "mkdir -p /var/lib/agentbus/credentials /var/lib/agentbus/fleet.git /etc/agentbus && "
            f"echo '{SECRET}' | tee /etc/agentbus/nats-server.conf >/var/lib/agentbus/credentials/key && chmod -R a+rX /var/lib/agentbus /etc/agentbus"
        ).check()
        guest.run("systemd-run --quiet /opt/agentbus/current/bin/python /opt/agentbus/serving.py").check()
        guest.run("systemctl start agentbus-check.socket").check()
        yield guest


def asked(machine: Machine, tree: str, *, user: str = "agentbus-applier") -> CheckResult:
    """What the unit says of a tree, when this user asks it."""
    command = (
        f"runuser -u {user} -- /opt/agentbus/current/bin/python /opt/agentbus/asking.py /opt/agentbus/trees/{tree}"
    )
    return msgspec.json.decode(machine.run(command, timeout_s=90).check(), type=CheckResult)


def journal(machine: Machine) -> str:
    """What the checks, and systemd about them, said."""
    return machine.run("journalctl --no-pager --output=cat | tail -40").out


def test_a_sound_tree_passes(machine: Machine) -> None:
    """The applier sends a tree to the socket and is told how its tests went."""
    result = asked(machine, "sound")
    assert result.passed, (result, journal(machine))
    assert result.summary.startswith("valid; 2 tests passed in ")
    assert result.where == UNIT


def test_a_tree_reaches_nothing(machine: Machine) -> None:
    """The fleet, the network, other processes and the machine's services are out of reach, although they are there."""
    there = "(exec 3<>/dev/tcp/127.0.0.1/8099) && runuser -u nobody -- cat /var/lib/agentbus/credentials/key"
    assert machine.run(f"for try in $(seq 50); do {there} && exit; sleep 0.1; done; exit 1").check() == SECRET
    result = asked(machine, "confined")
    assert result.passed, (result.summary, result.output)


@pytest.mark.parametrize("tree", ["endless", "forks", "memory", "killer"])
def test_a_check_without_a_good_end_has_failed(machine: Machine, tree: str) -> None:
    """A tree that does not end, takes everything, or kills who watches it fails, and the next check is served."""
    result = asked(machine, tree)
    assert not result.passed, result
    assert asked(machine, "sound").passed


def test_nothing_is_left_of_a_check(machine: Machine) -> None:
    """A daemon that left its session is gone, and so is every process of the unit's user."""
    result = asked(machine, "daemon")
    assert result.passed, (result.summary, result.output)
    gone = "for try in $(seq 50); do systemctl list-units --no-legend 'agentbus-check@*' | grep -q . || exit 0; sleep 0.1; done; exit 1"
    machine.run(gone).check()
    assert machine.run("pgrep -f left-behind").code == 1
    assert machine.run("pgrep -u agentbus-check").code == 1


def test_only_the_applier_is_served(machine: Machine) -> None:
    """Another user is refused by the socket itself, and that is a failed check."""
    result = asked(machine, "sound", user="agentbus-approvals")
    assert not result.passed
    assert result.summary.startswith("not tried: agentbus-check.socket does not answer")
