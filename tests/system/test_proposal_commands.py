"""`agentbus propose` and `agentbus proposals …` against a running fleet, and a task that waits for a change of its agent."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from agents.llm import AssistantTurn, UserTurn
from agents.memory.session import Kept, Session, encode
from approvals.git import BRANCH
from schemas.approvals import Receipt
from schemas.ids import sha256_hex
from tests.harness.fleet import CHECKOUT, RunningFleet, running_fleet, until
from tests.harness.office import Office, office, swift

pytestmark = pytest.mark.timeout(180)

FILE = "agents/greeter/agent.yaml"
_ANSWERS = {"friendly": "Hi there! You said:", "formal": "Good day. You wrote:"}
"""How the offline stand-in begins, by its style."""


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningFleet]:
    """The example fleet with a short health window."""
    with running_fleet(tmp_path_factory.mktemp("fleet"), prepare=swift) as running:
        yield running


@pytest.fixture
async def desk(fleet: RunningFleet) -> AsyncIterator[Office]:
    """Everybody of the fleet."""
    async with office(fleet.home) as opened:
        yield opened


def in_force(fleet: RunningFleet, path: str = FILE) -> str:
    """The text of a file of the fleet's repository."""
    command = ["git", "--git-dir", str(fleet.home.repository), "show", f"main:{path}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def proposed(fleet: RunningFleet, *arguments: str) -> Receipt:
    """The receipt of what an operator proposes."""
    done = json.loads(fleet.run("propose", *arguments, "--json").stdout)
    return Receipt(proposal=done["proposal"], digest=done["digest"], problem=done["problem"])


def noted(fleet: RunningFleet, folder: Path, why: str = "to note it") -> Receipt:
    """A proposal of a file more, of a content that nobody had before."""
    file = folder / "note"
    file.write_bytes(os.urandom(8).hex().encode())
    return proposed(fleet, "--agent", "greeter", "--file", f"notes.md={file}", "--why", why)


def test_a_patch_of_the_repository_is_proposed_listed_shown_and_withdrawn(fleet: RunningFleet, tmp_path: Path) -> None:
    """An operator makes a diff in a clone, hands it in, looks at it, and takes it back; every line has 80 columns."""
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(fleet.home.repository), str(clone)], check=True)
    (clone / FILE).write_text((clone / FILE).read_text().replace("Style: friendly", "Style: formal"))
    patch = tmp_path / "formal.diff"
    patch.write_bytes(subprocess.run(["git", "-C", str(clone), "diff"], capture_output=True, check=True).stdout)
    why = "to be formal \x1b[31m" + "and more " * 20
    said = fleet.run("propose", "--agent", "greeter", "--patch", str(patch), "--why", why).stdout
    proposal, _, rest = said.partition(" ")
    assert rest == "waits for approval; nothing has changed yet\n"
    listed = fleet.run("proposals", "list").stdout
    shown = fleet.run("proposals", "show", proposal).stdout
    assert [line.split()[:5] for line in listed.splitlines() if proposal in line] == [
        [proposal, "greeter", "prompt", "open", "0/1"]
    ]
    assert "ops asks to change the prompt of greeter" in shown
    assert "-    Style: friendly\n+    Style: formal\n" in shown
    assert "\x1b" not in shown
    assert max(map(len, (listed + shown).splitlines())) <= 80
    assert json.loads(fleet.run("proposals", "show", proposal, "--json").stdout)["state"] == "open"
    taken = fleet.run("proposals", "withdraw", proposal, "--why", "a better one follows").stdout
    assert taken.startswith(f"{proposal} is withdrawn")
    assert proposal not in fleet.run("proposals", "list").stdout
    (row,) = [
        row
        for row in json.loads(fleet.run("proposals", "list", "--all", "--json").stdout)["proposals"]
        if row["proposal"] == proposal
    ]
    assert row["state"] == "withdrawn"
    again = fleet.run("proposals", "withdraw", proposal, check=False)
    assert (again.returncode, again.stdout.partition(":")[0]) == (0, f"{proposal} is withdrawn")


async def test_the_exit_code_of_wait_says_how_it_ended(fleet: RunningFleet, desk: Office, tmp_path: Path) -> None:
    """75 while it goes on, 1 when it was rejected, 0 when it was applied."""
    file = tmp_path / "note"
    file.write_text("one")
    words = ("propose", "--agent", "greeter", "--file", f"notes.md={file}", "--wait")
    unfinished = await asyncio.to_thread(fleet.run, *words, "--timeout", "0", "--why", "first", check=False)
    assert unfinished.returncode == 75
    for verb, code, state in (("reject", 1, "rejected"), ("approve", 0, "applied")):
        waiting = asyncio.create_task(asyncio.to_thread(fleet.run, *words, "--why", f"to {verb}", check=False))
        receipt = await found(desk, f"to {verb}")
        await desk.vote(receipt, "reviewer", verb=verb)
        done = await waiting
        assert done.returncode == code, done
        assert f"{receipt.proposal} is {state}" in done.stdout
    assert in_force(fleet, "agents/greeter/notes.md") == "one"
    none = await asyncio.to_thread(fleet.run, *words, "--why", "again", check=False)
    assert (none.returncode, none.stderr) == (1, "agentbus: nothing would change\n")
    gone = await asyncio.to_thread(proposed, fleet, "--agent", "greeter", "--remove", "notes.md", "--why", "gone")
    await desk.vote(gone, "reviewer")
    assert (await desk.ended(gone.proposal)).state == "applied"


async def found(desk: Office, why: str) -> Receipt:
    """The open proposal with this reason."""

    async def look() -> Receipt | None:
        cases = json.loads(await desk.say("ops", "approvals.ask.ops.list"))
        found = [Receipt(proposal=one["proposal"], digest=one["digest"]) for one in cases if one["rationale"] == why]
        return found[0] if found else None

    receipt = await until(look, timeout_s=20)
    assert receipt is not None
    return receipt


def test_the_fleets_own_files_are_proposed_as_such(fleet: RunningFleet, tmp_path: Path) -> None:
    """What an agent may do is of kind authority and names it; who decides is of kind policy."""
    rules = tmp_path / "policy.yaml"
    rules.write_text(in_force(fleet, "policy.yaml") + "# more\n")
    policy = proposed(fleet, "--fleet", "--file", f"policy.yaml={rules}", "--why", "a remark")
    shown = json.loads(fleet.run("proposals", "show", policy.proposal, "--json").stdout)
    assert (shown["proposal"]["kind"], shown["proposal"]["scope"], policy.problem) == ("policy", "fleet", "")
    fleet.run("proposals", "withdraw", policy.proposal)
    members = tmp_path / "fleet.yaml"
    document = yaml.safe_load(in_force(fleet, "fleet.yaml"))
    document["agents"]["concierge"]["asks"] = ["greeter"]
    members.write_text(yaml.safe_dump(document, sort_keys=False))
    authority = proposed(fleet, "--fleet", "--file", f"fleet.yaml={members}", "--why", "less")
    shown = json.loads(fleet.run("proposals", "show", authority.proposal, "--json").stdout)
    assert (shown["proposal"]["kind"], shown["proposal"]["agent"]) == ("authority", "concierge")
    fleet.run("proposals", "withdraw", authority.proposal)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--why", "x", "--remove", "a"), 78, "say what changes: --agent NAME, or --fleet"),
        (("--agent", "greeter", "--fleet", "--why", "x", "--remove", "a"), 78, "say what changes"),
        (("--agent", "greeter", "--remove", "a"), 78, "say why"),
        (("--agent", "greeter", "--why", "x"), 78, "say how"),
        (("--agent", "greeter", "--why", "x", "--file", "a"), 78, "--file is PATH=FILE"),
        (("--agent", "greeter", "--why", "x", "--file", "a=/nowhere"), 78, "/nowhere cannot be read: No such file"),
        (("--agent", "nobody", "--why", "x", "--remove", "a"), 1, "there is no agent nobody in this fleet"),
        (("--agent", "greeter", "--why", "x", "--remove", "a"), 1, "'a' is not a file that can be removed"),
    ],
)
def test_what_is_wrong_is_one_sentence(fleet: RunningFleet, arguments: tuple[str, ...], code: int, said: str) -> None:
    """And nothing is handed in."""
    done = fleet.run("propose", *arguments, check=False)
    assert done.returncode == code
    assert done.stderr.startswith("agentbus: ")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_unknown_proposal_is_said(fleet: RunningFleet) -> None:
    """Exit 1 for one that is not there, 78 for what is no id."""
    missing = fleet.run("proposals", "show", "p-aaaaaaaa", check=False)
    assert (missing.returncode, "there is no proposal p-aaaaaaaa" in missing.stderr) == (1, True)
    assert fleet.run("proposals", "show", "nonsense", check=False).returncode == 78


@contextmanager
def watching(fleet: RunningFleet, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`agentbus proposals watch` in a process of its own, once it watches."""
    command = [sys.executable, "-m", "agents.cli", "proposals", "watch", *arguments]
    environment = {**os.environ, "AGENTBUS_HOME": str(fleet.home.root), "PYTHONPATH": str(CHECKOUT)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            assert process.stderr is not None
            assert "watching" in process.stderr.readline()
            yield process
        finally:
            process.kill()


HOOK = """import pathlib, sys
news = sys.stdin.read()
pathlib.Path(sys.argv[1]).open("a").write(f"{len(sys.argv)} {news}")
sys.exit(3 if "withdrawn" in news else 0)
"""


def test_watch_tells_each_change_and_its_command(fleet: RunningFleet, tmp_path: Path) -> None:
    """A line for each state; the hook has it on standard input and never as an argument; its failure is said."""
    script, heard = tmp_path / "hook.py", tmp_path / "heard"
    script.write_text(HOOK)
    with watching(fleet, "--exec", f"{sys.executable} '{script}' '{heard}'") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        receipt = noted(fleet, tmp_path, "told \x1b[2J" + "x" * 100)
        made = process.stdout.readline()
        fleet.run("proposals", "withdraw", receipt.proposal)
        taken = process.stdout.readline()
        assert f"ended with 3, for {receipt.proposal}" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
    assert made.split()[1:3] == [receipt.proposal, "open"]
    assert taken.split()[1:3] == [receipt.proposal, "withdrawn"]
    assert "\x1b" not in made
    assert len(made.rstrip("\n")) <= 80
    told = [line.partition(" ") for line in heard.read_text().splitlines()]
    assert [words for words, _, _ in told] == ["2", "2"]
    assert [json.loads(news)["state"] for _, _, news in told] == ["open", "withdrawn"]
    assert "told \x1b[2J" in json.loads(told[0][2])["rationale"]


def test_watch_gives_machines_json_lines(fleet: RunningFleet, tmp_path: Path) -> None:
    """With --json each line is an object: when, and how the proposal stands."""
    with watching(fleet, "--json") as process:
        assert process.stdout is not None
        receipt = noted(fleet, tmp_path)
        news = json.loads(process.stdout.readline())
    assert (news["proposal"], news["state"], news["agent"]) == (receipt.proposal, "open", "greeter")
    assert news["at"].endswith("Z")
    fleet.run("proposals", "withdraw", receipt.proposal)


async def test_a_task_goes_on_after_the_change_of_its_own_agent(fleet: RunningFleet, desk: Office) -> None:
    """The task waits in auth-required; the change restarts the agent, and the new process tells how it ended."""
    task = (await asyncio.to_thread(fleet.run, "tasks", "add", "greeter", "please be more formal")).stdout.strip()
    waits = await asyncio.to_thread(fleet.run, "tasks", "watch", "greeter", task, check=False)
    assert waits.returncode == 1
    assert "auth-required" in waits.stdout
    receipt = await found(desk, "A caller asked for a formal style.")
    before = fleet.processes()["agent-greeter"]["pid"]
    await desk.vote(receipt, "reviewer")
    assert (await desk.ended(receipt.proposal)).state == "applied"

    async def ended() -> str:
        shown = await asyncio.to_thread(fleet.run, "tasks", "show", "greeter", task, check=False)
        return shown.stdout if " completed " in shown.stdout else ""

    assert f"Proposal {receipt.proposal} was approved and applied" in await until(ended, timeout_s=30, every_s=0.3)
    assert fleet.processes()["agent-greeter"]["pid"] != before


async def test_a_task_goes_on_when_nobody_decided_in_time(fleet: RunningFleet, desk: Office) -> None:
    """The task waits in auth-required, the proposal expires, the task ends with that. The last test: its policy stays."""
    policy = yaml.safe_load(in_force(fleet, "policy.yaml"))
    await by_hand(fleet, desk, "policy.yaml", yaml.safe_dump(policy | {"version": "hurry", "decide_within_s": 5}))
    before, running = in_force(fleet), fleet.processes()["agent-greeter"]["pid"]
    wish = "be less formal" if "Style: formal" in before else "be more formal"
    task = (await asyncio.to_thread(fleet.run, "tasks", "add", "greeter", wish)).stdout.strip()
    waits = await asyncio.to_thread(fleet.run, "tasks", "watch", "greeter", task, check=False)
    assert "auth-required" in waits.stdout

    async def ended() -> str:
        shown = await asyncio.to_thread(fleet.run, "tasks", "show", "greeter", task, check=False)
        return shown.stdout if " completed " in shown.stdout else ""

    said = " ".join((await until(ended, timeout_s=60, every_s=0.3)).split())
    assert "was not decided in time: nothing has changed" in said
    cases = json.loads(await desk.say("ops", "approvals.ask.ops.list", "all"))
    assert [case["state"] for case in cases if case["proposal"] in said] == ["expired"]
    assert (in_force(fleet), fleet.processes()["agent-greeter"]["pid"]) == (before, running)


async def test_an_evaluation_is_printed_and_put_on_the_trail(fleet: RunningFleet, tmp_path: Path) -> None:
    """`agentbus eval` exits with 0 when enough cases pass and 1 when not; the trail has who, what and how many."""
    suite = tmp_path / "textstats.eval.yaml"
    suite.write_text("""
agent: textstats
cases:
  - {name: counts, data: {text: a b c}, expect: {matches: {properties: {words: {const: 3}}}}}
  - {name: lies, data: {text: a b c}, expect: {exact: {words: 4}}}
""")
    failed = fleet.run("eval", str(suite), check=False)
    assert failed.returncode == 1
    assert "FAILED lies: the answer is another one" in failed.stdout
    assert "eval: textstats passed 1 of 2 cases" in failed.stdout
    suite.write_text(suite.read_text() + "must_pass: 0.5\n")
    told = json.loads(fleet.run("eval", str(suite), "--json").stdout)
    assert (told["passed"], told["receipt"]["problem"]) == (True, "")
    fleet.run("eval", str(suite), "--no-record")

    async def stored() -> list[dict[str, Any]]:
        found = await asyncio.to_thread(fleet.events, "evaluation.recorded")
        return found if len(found) == 2 else []

    events = await until(stored, timeout_s=30)
    assert [(event["data"]["actor"], event["data"]["resource"]) for event in events] == [("ops", "textstats")] * 2
    assert events[1]["data"]["metadata"] == {
        "suite": sha256_hex(suite.read_bytes()), "cases": 2, "passed": 1, "digest": "",
    }  # fmt: skip


def test_a_conversation_is_held_again_before_a_change_is_approved(fleet: RunningFleet, tmp_path: Path) -> None:
    """`agentbus replay` shows what the proposed prompt would have answered, and reviewers see how much changes."""
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(fleet.home.repository), str(clone)], check=True)
    text = (clone / FILE).read_text()
    was, wanted = ("friendly", "formal") if "Style: friendly" in text else ("formal", "friendly")
    before, now = (_ANSWERS[style] for style in (was, wanted))
    (clone / FILE).write_text(text.replace(f"Style: {was}", f"Style: {wanted}"))
    patch = tmp_path / "formal.diff"
    patch.write_bytes(subprocess.run(["git", "-C", str(clone), "diff"], capture_output=True, check=True).stdout)
    receipt = proposed(fleet, "--agent", "greeter", "--patch", str(patch), "--why", "formal")
    said = (UserTurn(text="hello"), AssistantTurn(text=f"{before} hello"),
            UserTurn(text="bye"), AssistantTurn(text=f"{now} bye"))  # fmt: skip
    session = Session(
        caller="ops", context_id="c", began_at="", written_at="", turns=tuple(Kept(turn=turn) for turn in said)
    )
    conversation = tmp_path / "conversation.json"
    conversation.write_bytes(encode(session))
    done = fleet.run("replay", str(conversation), "--proposal", receipt.proposal, check=False)
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "answer 1 to: hello",
        f"  was: {before} hello",
        f"  now: {now} hello",
        "replay: 1 of 2 answers of greeter stayed the same, 0.0000 USD",
    ]
    through = fleet.run(
        "replay", str(conversation), "--proposal", receipt.proposal, "--through", "--json", "--no-record", check=False
    )
    assert [(one["before"], one["now"], one["not_recorded"]) for one in json.loads(through.stdout)["answers"]] == [
        (f"{before} hello", f"{now} hello", []), (f"{now} bye", f"{now} bye", []),
    ]  # fmt: skip
    shown = json.loads(fleet.run("proposals", "show", receipt.proposal, "--json").stdout)
    assert [(one["way"], one["passed"], one["cases"]) for one in shown["evaluations"]] == [("replay", 1, 2)]
    assert shown["state"] in {"open", "expired"}  # it decides nothing; only time does here
    fleet.run("proposals", "withdraw", receipt.proposal)


async def by_hand(fleet: RunningFleet, desk: Office, path: str, text: str) -> None:
    """Have another file of the fleet in force, as an operator does; returns when that is on record."""
    git = desk.git
    blob = git.line("hash-object", "-w", "--stdin", stdin=text.encode())
    with git.indexed() as index:
        index.run("read-tree", BRANCH)
        index.run("update-index", "--cacheinfo", f"100644,{blob},{path}")
        tree = index.line("write-tree")
    git.run("update-ref", BRANCH, git.commit(tree, "by hand", "test", parent=git.line("rev-parse", BRANCH)))

    async def on_record() -> bool:
        told = await asyncio.to_thread(fleet.events, "policy.changed")
        return any(event["data"]["metadata"]["policy"] == sha256_hex(text.encode()) for event in told)

    await until(on_record, timeout_s=60, every_s=0.3)
