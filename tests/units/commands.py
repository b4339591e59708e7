"""Commands of models: each in a unit that a socket starts, with the agent's workspace and nothing else."""

from __future__ import annotations

from tests.units.ground import HOME, Ground

AGENT = "trial"
WORKSPACE = f"{HOME}/state/{AGENT}/workspace"
SOCKETS = "/run/agentbus/tool"
_PLACES, _TRIED = 8, 12
_TAKING = f"""\
import select, socket, subprocess
held = [socket.socket(socket.AF_UNIX) for _ in range({_TRIED})]
for each in held:
    each.settimeout(20)
    each.connect("{SOCKETS}/greeter.sock")
turned_away = [each for each in held[{_PLACES}:] if each.recv(1) == b""]
served = [each for each in held if each not in select.select(held, [], [], 0)[0]]
other = subprocess.run(["agentbus", "ask", "--home", "{HOME}", "{AGENT}", "bash echo served"], capture_output=True, text=True)
print(len(served), len(turned_away), other.stdout.strip() or other.stderr)
"""
_LOOK = (
    "id -u; for path in /var/lib/agentbus /etc/passwd /etc/agentbus /run/agentbus /run/dbus /run/systemd/private /root/fleet; "
    "do ls $path >/dev/null 2>&1 && echo sees $path; done; "
    "for folder in / /tmp /var/tmp /usr /run /etc /opt/agentbus; do touch $folder/left 2>/dev/null && echo writes $folder; done; "
    "cp /usr/bin/true own && ./own 2>/dev/null && echo ran; "
    "(exec 3<>/dev/tcp/127.0.0.1/4222) 2>/dev/null && echo speaks; "
    "unshare --user true 2>/dev/null && echo namespaces; env | grep -c AGENTBUS; grep CapEff /proc/self/status"
)


def a_command_runs_beside_its_agent(ground: Ground) -> str:
    """It has the files of the workspace, and what it writes, changes and removes is so afterwards; links are not kept."""
    put = f"mkdir -p {WORKSPACE}/notes && echo one >{WORKSPACE}/notes/first && echo two >{WORKSPACE}/second"
    ground.machine.run(f"{put}; chown -R agent-{AGENT}: {WORKSPACE}").check()
    said = ground.ask(AGENT, "bash pwd; cat notes/first; echo three >third; rm second; ln -s /etc/passwd link; exit 3")
    assert said == "/workspace\none\n[exit status 3]", said
    found = ground.machine.run(
        f"cd {WORKSPACE} && find . -type f -o -type l | sort; cat third; stat -c %U third"
    ).check()
    assert found.split() == ["./notes/first", "./third", "three", f"agent-{AGENT}"], found
    return "output, exit status and files came back"


def a_command_sees_nothing_of_the_fleet(ground: Ground) -> str:
    """No file of the fleet or the machine's services, no network, no privileges; nothing that it wrote can be started."""
    said = ground.ask(AGENT, f"bash {_LOOK}")
    user, *rest = said.split("\n")
    assert rest == ["0", "CapEff:\t0000000000000000"], said
    assert int(user) >= 61184, said  # of systemd's own range for users that come and go
    return f"as user {user}: no file, no network, no privileges"


def a_command_cannot_touch_another_one(ground: Ground) -> str:
    """Two at the same time are two users."""
    both = f"for n in 1 2; do agentbus ask --home {HOME} {AGENT} 'bash id -u; sleep 1' >/tmp/user-$n & done; wait; cat /tmp/user-1 /tmp/user-2"
    found = ground.machine.run(both).check().split()
    assert len(set(found)) == 2, found
    return f"users {' and '.join(found)}"


def a_command_without_end_is_ended(ground: Ground) -> str:
    """After its time it is told of, and nothing that it started is left."""
    said = ground.ask(AGENT, "bash echo begun; (setsid sleep 600 &); sleep 600")
    assert said == "begun\n[stopped: it did not end within 5 s; what it did until then is done]", said
    gone = "for try in $(seq 100); do pgrep -x sleep >/dev/null || exit 0; sleep 0.05; done; exit 1"
    ground.machine.run(gone).check()
    return said.replace("\n", " ")


def only_the_agent_may_have_commands_run(ground: Ground) -> str:
    """Its socket refuses everybody else, also one that reads what is in force, and another agent."""
    connect = f"import socket; socket.socket(socket.AF_UNIX).connect('{SOCKETS}/{AGENT}.sock')"
    others = ("nobody", "agentbus-approvals", "agent-greeter")
    for user in others:
        tried = ground.machine.run(f"""runuser -u {user} -- /usr/bin/python3 -c "{connect}" """)
        assert "PermissionError" in tried.err, (user, tried)
    return f"{', '.join(others)} were refused"


def no_agent_takes_the_places_of_another(ground: Ground) -> str:
    """While one agent has as many connections as it can get, another one's command is run; the socket goes with its agent."""
    said = ground.machine.run(f"/usr/bin/python3 - <<'END'\n{_TAKING}END", timeout_s=120).check()
    assert said == f"{_PLACES} {_TRIED - _PLACES} served", said
    for verb, state in (("restart", "active"), ("stop", "inactive"), ("start", "active")):
        ground.machine.run(f"systemctl {verb} agent@greeter", timeout_s=60).check()
        ground.machine.wait_for("agent-tool@greeter.socket", ActiveState=state)
    return f"{_PLACES} of {_TRIED} connections of one agent were taken, and then a command of another"
