"""Permissions under systemd: what people approved is put in force by a unit that the applier starts; nothing else is."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.harness.needs import Reason, needs, skip
from tests.harness.systemd_boot import Machine, booted, obstacle
from tests.harness.systemd_units import add_agent_users, fleet_guest, instead

pytestmark = [needs(obstacle() is None, obstacle()), pytest.mark.timeout(300)]

HOME = "/var/lib/agentbus"
UNIT = "agentbus-provision.service"
CONFIG = f"{HOME}/nats/conf/nats-server.conf"
UNITS = ("nats-server", "agentbus-approvals", "agentbus-applier", "agent@greeter", "agent@textstats")
WANTED = f"{HOME}/live/fleet.tree"
SECRET = "nobody of the applier may read this"
DECIDE = """\
import asyncio, json, sys, time
import nats
JSON = {"Accept": "application/json"}
async def main(proposal, digest):
    people = {}
    for name in ("reviewer", "second"):
        seed = f"/var/lib/agentbus/credentials/{name}/own.nk"
        people[name] = await nats.connect("nats://127.0.0.1:4222", nkeys_seed=seed, inbox_prefix=b"_INBOX")
        said = await people[name].request("approvals.approve", f"{proposal} {digest} yes".encode(), timeout=10)
        assert said.data.startswith(b"OK you approved"), said.data
    deadline, state = time.monotonic() + 80, "approved"
    while state == "approved" and time.monotonic() < deadline:
        await asyncio.sleep(0.2)
        try:  # a reload of the server may lose an answer: people ask again
            found = json.loads((await people["second"].request("approvals.show", proposal.encode(), timeout=2, headers=JSON)).data)
            state = found["state"]
        except nats.errors.TimeoutError:
            pass
    print(json.dumps(found))
asyncio.run(main(*sys.argv[1:]))
"""
BY_HAND = """\
import os, sys
from pathlib import Path
from approvals.git import BRANCH, Git
git = Git(Path("/var/lib/agentbus/fleet.git"))
if sys.argv[1] == "back":
    git.run("update-ref", BRANCH, BRANCH + "~1")
else:
    text = git.file(BRANCH, "fleet.yaml").replace(b"asks: [greeter, textstats]", b"asks: [greeter, directory]")
    blob = git.line("hash-object", "-w", "--stdin", stdin=text)
    with git.indexed() as index:
        index.run("read-tree", BRANCH)
        index.run("update-index", "--cacheinfo", f"100644,{blob},fleet.yaml")
        git.run("update-ref", BRANCH, git.commit(index.line("write-tree"), "by hand", "x", parent=git.line("rev-parse", BRANCH)))
    print(git.tree_of_fleet())
"""
CONTROL = """\
import asyncio
from pathlib import Path
from approvals.applying.systemd_control import SystemdControl
from bus.surroundings import Home
async def main():
    control = SystemdControl(Home(Path("/var/lib/agentbus")))
    async def tell():
        print(await control.pid("greeter", 0), await control.pid("greeter", 1))
    await tell()
    await control.restart("greeter", 1, 30)
    await tell()
    await control.stop("greeter", 1)
    await tell()
asyncio.run(main())
"""
FLEET = f"""
set -e
agentbus provision --home {HOME}
systemd-tmpfiles --create agentbus.conf
systemctl start {" ".join(UNITS)}
"""
AS_APPLIER = "runuser -u agentbus-applier -- "
OTHER_FLEET = f"{AS_APPLIER} /opt/agentbus/current/bin/python /opt/agentbus/by_hand.py"
START = f"{AS_APPLIER} systemctl --no-ask-password start {UNIT}"


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    """The example fleet with two reviewers, started as an operator does."""
    with booted(
        fleet_guest(
            {
                "/root/decide.py": DECIDE,
                "/opt/agentbus/by_hand.py": BY_HAND,
                "/opt/agentbus/control.py": CONTROL,
                "/root/secret": SECRET,
            }
        )
    ) as guest:
        if not guest.run("command -v /usr/lib/polkit-1/polkitd").out:
            skip(Reason.POLKIT)
        guest.run(f"systemd-sysusers && {add_agent_users('greeter', 'textstats')}").check()
        started = guest.run(FLEET, timeout_s=90)
        assert started.code == 0, started.err + "\n".join(guest.journal(unit) for unit in UNITS)
        yield guest


def changed(machine: Machine, asks: str, instances: int = 1) -> dict[str, str]:
    """Propose that the greeter may ask others, have both reviewers approve, and wait for the end: how it stands then."""
    script = f"""
        set -e
        git -c safe.directory='*' --git-dir {HOME}/fleet.git show main:fleet.yaml >/root/new.yaml
        sed -i '/# asked/d; s/^  greeter:$/  greeter:\\n    asks: [{asks}]  # asked\\n    instances: {instances}  # asked/' /root/new.yaml
        agentbus propose --home {HOME} --fleet --file fleet.yaml=/root/new.yaml --why test --json"""
    receipt = json.loads(machine.run(script).check())
    assert receipt["problem"] == "", receipt
    decide = f"/opt/agentbus/current/bin/python /root/decide.py {receipt['proposal']} {receipt['digest']}"
    found: dict[str, str] = json.loads(machine.run(decide, timeout_s=120).check())
    return found


def journals(machine: Machine) -> str:
    """What those said that put it in force."""
    return machine.journal("agentbus-applier") + machine.journal(UNIT)


def test_what_was_approved_is_in_force_and_nobody_was_restarted(machine: Machine) -> None:
    """The server lets the greeter ask, a second instance of it runs, and every process of before is the same."""
    before = {unit: machine.properties(unit, "MainPID") for unit in UNITS}
    ended = changed(machine, "textstats", instances=2)
    assert ended["state"] == "applied", str(ended) + journals(machine)
    assert "a2a.v1.req.textstats.greeter.*" in machine.run(f"cat {CONFIG}").check()
    assert machine.run(f"stat -c %U:%G:%a {CONFIG}").check() == "agentbus-provision:nats:640"
    assert {unit: machine.properties(unit, "MainPID") for unit in UNITS} == before
    assert "Reloaded server configuration" in machine.journal("nats-server")
    second = machine.properties("agent-1@greeter", "ActiveState", "MainPID", "StatusText")
    assert second["ActiveState"] == "active"
    assert "AGENTBUS_SLOT=1" in machine.run(f"tr '\\0' '\\n' </proc/{second['MainPID']}/environ").check().splitlines()
    assert machine.run(f"stat -c %U {HOME}/state/greeter.1").check() == "agent-greeter"


def test_the_wish_is_not_followed_elsewhere(machine: Machine) -> None:
    """A link where the applier's wish should be: refused, nothing is changed, and nothing of what it points to is said."""
    kept = machine.run(f"sha256sum {CONFIG}; cat {WANTED}").check()
    machine.run(f"{AS_APPLIER} bash -c 'mv {WANTED} {WANTED}.good; ln -s /root/secret {WANTED}'").check()
    started = machine.run(START)
    machine.run(f"{AS_APPLIER} mv {WANTED}.good {WANTED}").check()
    assert started.code != 0
    assert "cannot be read: Too many levels of symbolic links" in machine.properties(UNIT, "StatusText")["StatusText"]
    assert machine.run(f"sha256sum {CONFIG}; cat {WANTED}").check() == kept
    assert SECRET not in machine.journal(UNIT)


def test_what_nobody_approved_is_not_in_force(machine: Machine) -> None:
    """The applier's account can put any fleet file on the branch, and name its tree: the record does not have it."""
    before, good = machine.run(f"cat {CONFIG}").check(), machine.run(f"cat {WANTED}").check()
    machine.run(f"{OTHER_FLEET} forth | {AS_APPLIER} tee {WANTED}").check()
    assert machine.run(f"cat {WANTED}").check() != good
    started = machine.run(START)
    machine.run(f"{OTHER_FLEET} back; echo {good} | {AS_APPLIER} tee {WANTED}").check()
    assert started.code != 0
    assert "nobody approved to change the fleet from tree" in machine.properties(UNIT, "StatusText")["StatusText"]
    assert machine.run(f"cat {CONFIG}").check() == before


def test_the_applier_starts_that_unit_and_does_nothing_else_with_it(machine: Machine) -> None:
    """Not another verb, not the server; and the unit's own user may reload the server alone."""
    commands = {
        f"agentbus-applier start {UNIT}": True,
        f"agentbus-applier stop {UNIT}": False,
        f"agentbus-applier restart {UNIT}": False,
        f"agentbus-applier reset-failed {UNIT}": False,
        "agentbus-applier set-environment AGENTBUS_HOME=/tmp": False,
        "agentbus-applier reload nats-server": False,
        "agentbus-applier start agentbus-sealer": False,
        "agentbus-provision reload nats-server": True,
        "agentbus-provision restart nats-server": False,
        f"agentbus-provision start {UNIT}": False,
    }
    split = {command: command.partition(" ") for command in commands}
    script = "; ".join(
        f"runuser -u {u} -- systemctl --no-ask-password {c} && echo 'did {u} {c}'" for u, _, c in split.values()
    )
    done = {line.removeprefix("did ") for line in machine.run(script + "; true").check().splitlines()}
    assert done == {command for command, is_allowed in commands.items() if is_allowed}


def test_each_instance_is_a_unit_that_the_applier_restarts_alone(machine: Machine) -> None:
    """The second instance is another process afterwards, the first one is not; stopped, it is no process."""
    first = machine.properties("agent@greeter", "MainPID")["MainPID"]
    control = f"{AS_APPLIER} /opt/agentbus/current/bin/python /opt/agentbus/control.py"
    pids = [line.split() for line in machine.run(control, timeout_s=90).check().splitlines()]
    assert [line[0] for line in pids] == [first] * 3
    assert len({line[1] for line in pids}) == 3
    assert pids[2][1] == "0"


def test_it_sees_the_keys_of_nobody(machine: Machine) -> None:
    """Not the seeds, not the store, not the applier's repository; it writes the configuration and its own, and cannot run it."""
    script = f"""
        ls {HOME} {HOME}/nats {HOME}/state; ls {HOME}/credentials {HOME}/nats/jetstream 2>/dev/null || echo hidden
        for file in {HOME}/live/x /etc/agentbus/x /opt/agentbus/x {HOME}/x; do touch $file 2>/dev/null && echo wrote $file; done
        cp /usr/bin/true {HOME}/nats/conf/x && {{ {HOME}/nats/conf/x 2>/dev/null || echo refused with $?; rm {HOME}/nats/conf/x; }}
        cat /proc/self/status | grep CapEff"""
    said = instead(machine, "agentbus-provision", script)
    assert f"{HOME}:\nlive\nnats\nstate\n\n{HOME}/nats:\nconf\n\n{HOME}/state:\nprovision\nhidden\n" in said
    assert "wrote" not in said
    assert "refused with 126\n" in said
    assert "CapEff:\t0000000000000000" in said


def test_root_changes_who_is_in_the_fleet_while_the_units_run(machine: Machine) -> None:
    """An agent joins and runs by the steps that are printed, gets a new key, and leaves; nobody else is restarted.

    What people approve afterwards is put in force as before, on top of root's change; and all is as provisioned.
    """
    remove = f"agentbus fleet remove scribe --home {HOME}"
    machine.run(remove, timeout_s=60)  # where a run before left it
    before = {unit: machine.properties(unit, "MainPID") for unit in UNITS}
    said = machine.run(f"agentbus fleet add agent scribe --template python --home {HOME}", timeout_s=60).check()
    steps = said.partition("next:\n")[2]
    assert "systemctl enable --now agent@scribe" in steps
    machine.run(steps, timeout_s=60).check()
    first = machine.wait_for("agent@scribe", ActiveState="active") | machine.properties("agent@scribe", "MainPID")
    asked = f"agentbus ask scribe --home {HOME} --data '{{\"numbers\": [1, 2]}}'"
    assert machine.run(asked).check()
    assert "started again: scribe" in machine.run(f"agentbus fleet rotate scribe --home {HOME}", timeout_s=90).check()
    assert machine.properties("agent@scribe", "MainPID")["MainPID"] not in {"0", first["MainPID"]}
    assert machine.run(asked).check()
    ended = changed(machine, "scribe")
    assert ended["state"] == "applied", str(ended) + journals(machine)
    gone = machine.run(remove, timeout_s=60)
    assert gone.code == 0, gone.err
    assert machine.properties("agent@scribe", "ActiveState", "UnitFileState") == {
        "ActiveState": "inactive", "UnitFileState": "disabled",
    }  # fmt: skip
    assert {unit: machine.properties(unit, "MainPID") for unit in UNITS if unit != "agent@greeter"} == {
        unit: pid for unit, pid in before.items() if unit != "agent@greeter"
    }
    checked = machine.run(f"agentbus provision --check --home {HOME}")
    assert checked.code == 0, checked.out


def test_what_cannot_be_put_in_force_goes_back_with_the_reason(machine: Machine) -> None:
    """An operator changed the fleet's repository by hand and did not provision: an approved change on top goes back."""
    machine.run(f"{OTHER_FLEET} forth").check()
    before = machine.run(f"cat {CONFIG}").check()
    ended = changed(machine, "concierge")
    assert ended["state"] == "rolled_back", str(ended) + journals(machine)
    assert "nobody approved to change the fleet from tree" in ended["note"]
    assert "root runs `agentbus provision`" in ended["note"]
    assert machine.run(f"cat {CONFIG}").check() == before
