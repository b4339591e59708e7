"""Commands of models: each in a unit that a socket starts, with the agent's workspace and nothing else."""

from __future__ import annotations

from tests.units.ground import HOME, Ground

AGENT = "trial"
WORKSPACE = f"{HOME}/state/{AGENT}/workspace"
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


def only_agents_may_have_commands_run(ground: Ground) -> str:
    """The socket refuses a user who is no agent, also one that reads what is in force."""
    connect = "import socket; socket.socket(socket.AF_UNIX).connect('/run/agentbus/tool.sock')"
    for user in ("nobody", "agentbus-approvals"):
        tried = ground.machine.run(f"""runuser -u {user} -- /usr/bin/python3 -c "{connect}" """)
        assert "PermissionError" in tried.err, (user, tried)
    return "nobody and agentbus-approvals were refused"
