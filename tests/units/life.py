"""Units that live: they start, say how they are, come back when they are killed or frozen, and outlive the server."""

from __future__ import annotations

import json

from tests.units.ground import AGENTS, FLEET, HOME, UNITS, Ground, counted

RESTARTED = ("systemctl", "restart", "agent@trial")


def every_unit_is_up(ground: Ground) -> str:
    """Started once, each says that it is ready, and none was started twice."""
    for unit in UNITS:
        found = ground.machine.properties(unit, "ActiveState", "NRestarts")
        is_up = found["ActiveState"] == "active" and found.get("NRestarts", "0") == "0"  # a socket has no restarts
        assert is_up, (unit, found, ground.machine.journal(unit))
    texts = [ground.machine.properties(f"agent@{name}", "StatusText")["StatusText"] for name in AGENTS]
    assert all(text.startswith("serving ") for text in texts), texts
    return f"{len(UNITS)} units active; {texts[0]}"


def every_process_tells_how_it_is(ground: Ground) -> str:
    """On the socket in its unit's own folder, to root: ready, by a command and by any client for HTTP."""
    processes = [*AGENTS, "approvals", "sealer", "witness-a"]
    for process in processes:
        told = f"for try in $(seq 50); do agentbus agent health {process} && exit; sleep 0.2; done; exit 1"
        found = ground.machine.run(told, timeout_s=50)
        assert found.code == 0, found.out + found.err
    folder = ground.machine.run("stat -c '%U %a' /run/agentbus/agent-greeter").check()
    assert folder == "agent-greeter 750"
    return f"{len(processes)} processes are ready"


def agents_answer(ground: Ground) -> str:
    """An operator's question reaches an agent in its sandbox."""
    return ground.ask("greeter", "hello")


def the_directory_believes_cards(ground: Ground) -> str:
    """With the keys as provisioning and tmpfiles leave them, the agent's signed card is believed."""
    listing = f"agentbus agents list --home {HOME} --json --skill greet"
    found = ground.machine.run(f"for try in $(seq 50); do {listing} && exit; sleep 0.2; done; exit 1", timeout_s=50)
    assert found.code == 0, found.err + ground.machine.journal("agent@directory")
    assert '"card_state":"signed"' in found.out
    return "the greeter's card is signed"


def the_trail_is_sealed(ground: Ground) -> str:
    """The sealer signs a checkpoint and the witness cosigns it, each as a user of its own."""
    sealed = f"for try in $(seq 100); do test -s {HOME}/state/sealer/checkpoint && exit; sleep 0.2; done; exit 1"
    assert ground.machine.run(sealed, timeout_s=50).code == 0, ground.machine.journal("agentbus-sealer")
    assert f"{FLEET}/witness-a " in ground.machine.run(f"cat {HOME}/state/sealer/checkpoint").check()
    owner = ground.machine.run(f"stat -c %U {HOME}/state/witness-a/checkpoint").check()
    assert owner == "seal-witness-a"
    return f"cosigned by {owner}"


def a_killed_agent_comes_back(ground: Ground) -> str:
    """SIGKILL is answered by a new process that serves."""
    before = ground.pid("agent@greeter")
    ground.machine.run("systemctl kill --kill-whom=main --signal=KILL agent@greeter").check()
    now = ground.came_back("greeter", before)
    assert now["NRestarts"] == "1", now
    assert ground.ask("greeter", "hello")
    return f"process {before}, then {now['MainPID']}, which answers"


def a_frozen_loop_is_replaced(ground: Ground) -> str:
    """A handler that blocks the event loop is aborted by the watchdog, and the journal has the line where it stood."""
    before = ground.pid("agent@trial")
    ground.tell("trial", "freeze")
    now = ground.came_back("trial", before)
    journal = ground.machine.journal("agent@trial")
    assert "Watchdog timeout" in journal, journal
    assert "in _freeze" in journal, journal
    assert ground.answers_again("trial") == "back"
    return f"process {before} was stopped in _freeze; {now['MainPID']} answers"


def a_late_loop_is_told_of(ground: Ground) -> str:
    """A handler that blocks the loop for less than the watchdog allows costs nobody the process; the status says it."""
    before = ground.pid("agent@trial")
    assert ground.ask("trial", "late 1.6") == "went on"
    told = "for try in $(seq 100); do systemctl show -P StatusText agent@trial | grep -o 'the event loop stood .*' && exit; sleep 0.05; done; exit 1"
    text = ground.machine.run(told).check()
    assert ground.pid("agent@trial") == before
    assert '"process.loop_blocked"' in ground.machine.journal("agent@trial")
    return text


def the_journal_is_searched_by_field(ground: Ground) -> str:
    """Each line of an agent has the agent, its event and its priority as fields; the message is its JSON as elsewhere."""
    found = ground.machine.run(
        "journalctl --output=json --no-pager AGENT=trial AGENTBUS_EVENT=process.loop_blocked"
    ).check()
    entry = json.loads(found.splitlines()[-1])
    expected = {
        "AGENT": "trial",
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "agent@trial",
        "_SYSTEMD_UNIT": "agent@trial.service",
        "_TRANSPORT": "journal",
    }
    assert {name: entry[name] for name in expected} == expected, entry
    assert json.loads(entry["MESSAGE"])["event"] == "process.loop_blocked"
    warnings = ground.machine.run("journalctl --no-pager -o cat -u agent@trial -p warning").check()
    assert '"process.ready"' not in warnings
    return ", ".join(f"{name}={value}" for name, value in expected.items())


def the_server_is_restarted_alone(ground: Ground) -> str:
    """Agents stay the same processes through a restart of nats-server, and go on."""
    units = [f"agent@{name}" for name in AGENTS]
    before = [ground.pid(unit) for unit in units]
    ground.machine.run("systemctl restart nats-server").check()
    assert ground.answers_again("trial") == "back"
    assert [ground.pid(unit) for unit in units] == before
    return f"processes {', '.join(before)} stayed"


def sigterm_under_load_loses_nothing(ground: Ground) -> str:
    """What was begun is answered before the process ends; every acknowledged task is done, once."""
    found = counted(ground.machine, *RESTARTED)
    tasks, requests = found["tasks"], found["requests"]
    assert found["command"] == 0, ground.machine.journal("agent@trial")
    assert requests == {"answered": 8}, found
    assert found["ends"] == {"TASK_STATE_COMPLETED": tasks}, found
    assert found["done_once"] == tasks, found
    assert ground.machine.properties("agent@trial", "Result", "NRestarts") == {"Result": "success", "NRestarts": "0"}
    return f"8 of 8 requests in flight answered, {tasks} of {tasks} tasks done once"


def a_reload_keeps_what_runs(ground: Ground) -> str:
    """With a bad configuration in place the process goes on, and its status says what is wrong; mended, that it is sound."""
    file, unit = f"{HOME}/live/greeter/agent.yaml", "agent@greeter"
    before = ground.pid(unit)
    status = f"systemctl reload {unit}; for try in $(seq 100); do systemctl show -P StatusText {unit} | grep"
    wait = "&& exit; sleep 0.05; done; exit 1"
    ground.machine.run(f"cp {file} /root/kept.yaml && echo 'nonsense: 1' >>{file}").check()
    try:
        refused = ground.machine.run(f"{status} 'cannot be used, and what ran goes on' {wait}").check()
    finally:
        ground.machine.run(f"cat /root/kept.yaml >{file}").check()
    ground.machine.run(f"{status} 'its files are those that run' {wait}").check()
    assert ground.pid(unit) == before
    assert ground.ask("greeter", "hello")
    return refused.partition("; ")[2]


def a_bad_configuration_fails_once(ground: Ground) -> str:
    """Exit status 78 is one failure: systemd does not try again, and the journal says where it is wrong."""
    file, unit = f"{HOME}/live/greeter/agent.yaml", "agent@greeter"
    ground.machine.run(f"cp {file} /root/kept.yaml && echo 'nonsense: 1' >>{file}").check()
    try:
        assert ground.machine.run(f"systemctl restart {unit}").code != 0
        expected = {"ActiveState": "failed", "NRestarts": "0", "ExecMainStatus": "78"}
        assert ground.machine.properties(unit, *expected) == expected
        assert "nonsense" in ground.machine.journal(unit)
    finally:
        ground.machine.run(
            f"cat /root/kept.yaml >{file}; systemctl reset-failed {unit}; systemctl start {unit}"
        ).check()
    return "failed, status 78, no restart"
