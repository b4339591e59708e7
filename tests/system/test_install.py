"""`agentbus install` on a machine that runs systemd: from nothing to an answer, to another version and back, and away."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.metadata import version

import pytest

from tests.harness.needs import needs
from tests.harness.server_install import AGENTBUS, bare_guest
from tests.harness.systemd_boot import Machine, booted, obstacle
from tests.harness.systemd_units import CHECKOUT, unit_files

pytestmark = [needs(obstacle() is None, obstacle()), pytest.mark.timeout(300)]

NOW = version("agentbus")
INSTALL = f"cd {CHECKOUT} && {AGENTBUS} install"
SEEN = "find /opt/agentbus /etc /usr/local/bin -newer /run/mark ! -path '/etc/systemd/system' | sort"
OLDER = f"""\
cd /opt/agentbus/releases && cp -a {NOW} 0.0.9 && cd 0.0.9
sed -i '1s/{NOW}/0.0.9/' bin/agentbus
sed -i 's/"digest": "[0-9a-f]*"/"digest": "of another one"/; s/"made_at_ns": [0-9]*/"made_at_ns": 1/' release.json
echo '# of 0.0.9' >>share/systemd/agents.slice
"""
"""A release of before, whose units differ: it is made of the one that is there, since building takes its time."""
UNIT = "/etc/systemd/system/agentbus-sealer.service"
PACKAGED = f"""\
mkdir -p /root/pkg/opt/agentbus/releases && cp -al /opt/agentbus/releases/{NOW} /root/pkg/opt/agentbus/releases/ &&
cd {CHECKOUT} && {AGENTBUS} install --root /root/pkg --deb /root/dist
"""
"""A package of the release that is there: building one more takes its time."""
ANSWER = "for try in $(seq 50); do agentbus ask greeter hello && exit; sleep 0.2; done; exit 1"


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    """A guest in which the two commands of the operator's page were run, and its fleet was started."""
    with booted(bare_guest()) as guest:
        guest.run(INSTALL, timeout_s=200).check()
        guest.run("agentbus provision").check()
        guest.run("systemctl enable --now agentbus.target agent@greeter", timeout_s=60).check()
        yield guest


def in_use(machine: Machine) -> list[str]:
    """The release that the link leads to, and those from which processes of the fleet run."""
    programs = "for pid in $(systemctl show -P MainPID agent@greeter agentbus-sealer | grep .); do tr '\\0' ' ' </proc/$pid/cmdline; echo; done"
    shown = machine.run(f"readlink /opt/agentbus/current; {programs}").check()
    return sorted({part for word in shown.split() for part in word.split("/") if part in {NOW, "0.0.9"}})


def test_an_agent_answers_after_the_two_commands(machine: Machine) -> None:
    """Every process of the fleet runs in its sandbox, from the release; the agent answers."""
    assert "You said: hello" in machine.run(ANSWER, timeout_s=60).check()
    assert machine.run("systemctl --failed --no-legend").check() == ""
    services = "nats-server agentbus-approvals agentbus-applier agentbus-sealer agentbus-witness@witness-a agentbus-check.socket"
    assert set(machine.run(f"systemctl is-active {services}").check().split()) == {"active"}
    assert in_use(machine) == [NOW]


def test_provisioning_has_the_packet_filter_read_again(machine: Machine) -> None:
    """Beside a fleet that runs; where there is no nft, the unit is told all the same and does nothing."""
    said = machine.run("agentbus provision", timeout_s=60).check()
    assert "ran systemctl --no-block reload-or-restart agentbus-packet-filter.service" in said


def test_nobody_but_root_can_change_the_program(machine: Machine) -> None:
    """No file of the installation is writable, or belongs to anybody else; nothing in it leads into a home folder."""
    loose = "find /opt/agentbus ! -type l '(' -perm /022 -o ! -user root -o ! -group root ')'"
    assert machine.run(loose).check() == ""
    assert machine.run("find /opt/agentbus/releases/ -mindepth 1 ! -type l -perm /200").check() == ""
    assert machine.run("find /opt/agentbus -type l -lname '/*' ! -lname '/usr/bin/*'").check() == ""
    assert (
        machine.run("grep -rlI /root/ /opt/agentbus/current/bin /opt/agentbus/current/*.cfg 2>/dev/null; true").check()
        == ""
    )


def test_a_second_run_changes_nothing(machine: Machine) -> None:
    """It says so, and no file is newer."""
    machine.run("touch /run/mark").check()
    assert machine.run(INSTALL, timeout_s=60).check() == f"nothing to do: /opt/agentbus/current is {NOW}"
    assert machine.run(SEEN).check() == ""
    told = json.loads(machine.run(f"{INSTALL} --json", timeout_s=60).check())
    assert (told["release"], told["changed"], told["steps"]) == (NOW, False, [])


def test_back_to_the_release_before_and_forward_again(machine: Machine) -> None:
    """What runs is restarted one after the other, each command is said, and the agent answers from either."""
    machine.run(OLDER).check()
    back = machine.run("agentbus install --rollback", timeout_s=120).check().splitlines()
    assert "link   /opt/agentbus/current  (to releases/0.0.9)" in back
    assert back[-1] == "run    systemctl restart agent@greeter.service"
    assert "run    systemctl restart nats-server.service" not in back
    assert in_use(machine) == ["0.0.9"]
    assert "# of 0.0.9" in machine.run("cat /etc/systemd/system/agents.slice").check()
    assert "You said: hello" in machine.run(ANSWER, timeout_s=60).check()
    forward = machine.run(f"{INSTALL} --no-restart", timeout_s=60).check()
    assert "run    systemctl restart" not in forward
    assert in_use(machine) == ["0.0.9", NOW]  # what runs goes on from its own release until it is restarted
    assert "# of 0.0.9" not in machine.run("cat /etc/systemd/system/agents.slice").check()


def test_what_was_put_off_is_done_by_the_next_run(machine: Machine) -> None:
    """What still runs from another release is restarted; then there is nothing to do."""
    again = machine.run(INSTALL, timeout_s=120).check().splitlines()
    assert again[-1] == "run    systemctl restart agent@greeter.service"
    assert not [line for line in again if not line.startswith("run    systemctl restart ")]
    assert in_use(machine) == [NOW]


def test_a_package_holds_the_same(machine: Machine) -> None:
    """The same program; units, users and rules where packages have theirs, nothing in /etc. Not beside an installation."""
    made = machine.run(PACKAGED, timeout_s=120).check().splitlines()[-1]
    held = machine.run(f"dpkg-deb --contents {made} | awk '{{print $6}}'").check().split()
    outside = {path for path in held if not path.endswith("/") and not path.startswith("./opt/agentbus/releases/")}
    shipped = {f"./{path.lstrip('/')}".replace("/etc/polkit-1", "/usr/share/polkit-1") for path in unit_files()}
    shipped = {path.replace("./etc/", "./usr/lib/") for path in shipped}
    assert outside >= shipped | {"./usr/bin/agentbus", "./opt/agentbus/current", "./opt/agentbus/installed.json"}
    assert not [path for path in outside if path.startswith(("./etc/", "./var/", "./usr/local/"))]
    assert {f"./opt/agentbus/releases/{NOW}/bin/{name}" for name in ("agentbus", "python", "nats-server")} <= set(held)
    assert "agentbus uninstall first" in machine.run(f"dpkg --install {made}").err


def test_a_member_that_leaves_takes_its_line_along(machine: Machine) -> None:
    """The user of an agent stays, and is named; nothing makes it again."""
    said = machine.run("agentbus fleet remove textstats", timeout_s=60).check()
    assert "kept: user agent-textstats, whose number owns files" in said
    listed = machine.run("ls /etc/sysusers.d").check().split()
    assert "agentbus-agent-greeter.conf" in listed
    assert "agentbus-agent-textstats.conf" not in listed


def test_uninstalling_takes_what_was_installed_and_keeps_the_rest(machine: Machine) -> None:
    """Nothing runs, a changed unit is kept and named, data stays until it is asked for."""
    machine.run(f"echo '# mine' >>{UNIT}").check()
    assert machine.run("agentbus uninstall").code == 2
    said = machine.run("agentbus uninstall --yes", timeout_s=120).check()
    assert f"keep   {UNIT}  (was changed here; remove it by hand)" in said
    names = "-name 'agent*bus*' -o -name 'agent@*' -o -name 'agent-1@*' -o -name agents.slice -o -name 'nats-server*'"
    left = machine.run(f"find /opt/agentbus /usr/local/bin/agentbus /etc '(' {names} ')' ! -type d").out
    assert sorted(left.split()) == ["/etc/agentbus/nats-server.conf", UNIT]
    assert machine.run("ps -eo user= | grep -E '^(agent|nats|seal)'").out == ""
    assert (
        machine.run("test -s /var/lib/agentbus/state/sealer/checkpoint || test -d /var/lib/agentbus/credentials").code
        == 0
    )
    machine.run(f"cd {CHECKOUT} && {AGENTBUS} uninstall --yes --purge").check()
    assert machine.run("ls -d /var/lib/agentbus /etc/agentbus").code != 0


def test_a_package_comes_and_goes(machine: Machine) -> None:
    """The last test here: dpkg puts it, provisioning uses it, its manager alone changes it, and purging leaves the data."""
    machine.run("dpkg --install /root/dist/agentbus_*.deb", timeout_s=120).check()
    machine.run("agentbus provision", timeout_s=60).check()
    assert "apt remove" in machine.run("agentbus uninstall --yes").err
    machine.run("systemctl start nats-server").check()
    machine.run("dpkg --remove agentbus", timeout_s=60).check()
    assert machine.run("ps -eo user= | grep -E '^(agent|nats|seal)'").out == ""
    assert machine.run("ls -d /opt/agentbus /usr/bin/agentbus /usr/lib/systemd/system/agent@.service").out == ""
    assert "agentbus-agent-greeter.conf" in machine.run("ls /etc/sysusers.d").check()
    assert "left: /var/lib/agentbus" in machine.run("dpkg --purge agentbus", timeout_s=60).check()
    assert "agentbus" not in machine.run("ls /etc/sysusers.d").check()
    machine.run("test -d /var/lib/agentbus/credentials").check()
