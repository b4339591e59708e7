"""The steps of the demo, in order: each shows one promise, and raises when it is not kept."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agents.demo.stage import Stage, eventually, require

_VERSION = "A2A-Version:1.0"
_FRIENDLY, _FORMAL = "Hi there!", "Good day."


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the demo."""

    title: str
    play: Callable[[Stage], None]


def _message(text: str) -> str:
    return json.dumps({"message": {"messageId": "demo", "role": "ROLE_USER", "parts": [{"text": text}]}})


# -- asking ------------------------------------------------------------------------------------------------


def _ask(stage: Stage) -> None:
    answer = stage.told("ask", "greeter", "hello")
    require(answer.startswith(_FRIENDLY), f"the greeter said {answer!r}")


def _ask_with_nats(stage: Stage) -> None:
    answer = stage.req("ops", "a2a.v1.req.greeter.ops.SendMessage", _message("hello"), _VERSION)
    parts = json.loads(answer)["message"]["parts"]
    require(parts[0]["text"].startswith(_FRIENDLY), f"nats req printed {answer!r}")


def _typed(stage: Stage) -> None:
    counts = json.loads(stage.told("ask", "textstats", "--data", '{"text": "one two three"}'))
    require(counts["words"] == 3, f"textstats counted {counts}")


def _typed_refusal(stage: Stage) -> None:
    said = stage.agentbus("ask", "textstats", "--data", '{"text": 5}')
    named = "INVALID_ARGUMENT" in said.err and "message.parts[0].data.text" in said.err
    require(said.code != 0 and named, f"bad input was answered with {said}")


def _unavailable(stage: Stage) -> None:
    said = stage.agentbus("ask", "nobody", "hello", "--timeout", "30")
    require(said.code == 69 and "nobody serves" in said.err, f"an unknown agent was answered with {said}")


def _agent_to_agent(stage: Stage) -> None:
    answer = stage.told("ask", "concierge", "hello")
    require(answer.startswith(_FRIENDLY) and answer.endswith("words)"), f"the concierge said {answer!r}")


def _background(stage: Stage) -> None:
    task = json.loads(stage.told("ask", "greeter", "hello", "--background", "--json"))["task"]["id"]

    shown = stage.told("tasks", "show", "greeter", task, "--wait")
    require(shown.startswith(f"{task} completed"), f"the task is shown as {shown!r}")


def _card(stage: Stage) -> None:
    card = stage.told("card", "textstats")
    require('"words"' in card and '"count"' in card, "the card does not show the skill's schemas")


# -- leaving tasks -----------------------------------------------------------------------------------------


def _task_for_the_absent(stage: Stage) -> None:
    stage.told("agent", "stop", "greeter")
    task = stage.told("tasks", "add", "greeter", "hello")
    require(stage.agentbus("ask", "greeter", "hello").code == 69, "the greeter answers though it was stopped")
    stage.told("agent", "start", "greeter")

    shown = stage.told("tasks", "show", "greeter", task, "--wait")
    require(_FRIENDLY in shown, f"the task is shown as {shown!r}")


# -- self-modification -------------------------------------------------------------------------------------


def _proposed(stage: Stage, request: str) -> tuple[str, str]:
    """Ask the greeter to change; returns the proposal's id and digest, read as a reviewer reads them."""
    answer = stage.told("ask", "greeter", request)
    found = re.search(r"p-[a-z2-7]{8}", answer)
    require(found is not None, f"the greeter proposed nothing: {answer!r}")
    proposal = found[0] if found else ""
    require(proposal in stage.req("reviewer", "approvals.list", ""), "approvals.list does not show the proposal")
    shown = stage.req("reviewer", "approvals.show", proposal)
    digest = re.search(r"^digest ([0-9a-f]{64})$", shown, re.MULTILINE)
    require(digest is not None and "Style: " in shown, f"approvals.show printed {shown!r}")
    return proposal, digest[1] if digest else ""


def _greets(stage: Stage, greeting: str) -> bool:
    return stage.agentbus("ask", "greeter", "hello").out.startswith(greeting)


def _refusals(stage: Stage) -> None:
    proposal, digest = _proposed(stage, "please be more formal")
    wrong = stage.req("reviewer", "approvals.approve", f"{proposal} {digest[::-1]} no")
    require(wrong.startswith("ERR "), f"a wrong digest was answered with {wrong!r}")
    bare = stage.req("reviewer", "approvals.approve", proposal)
    require(bare.startswith("ERR "), f"no digest was answered with {bare!r}")
    by_agent = stage.req("ops", "approvals.approve", f"{proposal} {digest} me")
    require("OK" not in by_agent, f"somebody who is no reviewer was answered with {by_agent!r}")
    rejected = stage.req("reviewer", "approvals.reject", f"{proposal} not now")
    require(rejected.startswith("OK "), f"the rejection was answered with {rejected!r}")
    require(_greets(stage, _FRIENDLY), "a rejected proposal changed the greeter")


def _approval(stage: Stage) -> None:
    proposal, digest = _proposed(stage, "please be more formal")
    approved = stage.req("reviewer", "approvals.approve", f"{proposal} {digest} looks right")
    require(approved.startswith("OK "), f"the approval was answered with {approved!r}")

    def is_applied() -> bool:
        return f"{proposal} is applied" in stage.req("reviewer", "approvals.history", proposal)

    eventually(is_applied, "the change is applied")
    eventually(lambda: _greets(stage, _FORMAL), "the greeter greets formally")


# -- the trail ---------------------------------------------------------------------------------------------


def _trail(stage: Stage) -> None:
    told = stage.told("audit", "replay")
    wanted = (
        "request.answered", "request.refused", "request.sent", "task.changed", "llm.called", "tool.intended",
        "proposal.made", "proposal.voted", "proposal.vote_refused", "proposal.decided", "apply.applied",
    )  # fmt: skip
    missing = [kind for kind in wanted if kind not in told]
    require(not missing, f"the trail does not tell of {', '.join(missing)}")


def _verified(stage: Stage) -> None:
    said = stage.agentbus("audit", "verify")
    require(said.code == 0 and said.out.startswith("sound"), f"audit verify ended with {said.code}: {said.out}")


def _tampering(stage: Stage) -> None:
    stage.told("down")
    _change_a_byte(stage.home.store)
    stage.told("up", "--detach")
    said = stage.agentbus("audit", "verify")
    require(said.code == 1 and said.out.startswith("tampered"), f"audit verify ended with {said.code}: {said.out}")


def _change_a_byte(store: Path) -> None:
    """What somebody with access to the server's disk would do; its index goes, as a careful one would see to."""
    messages = next(store.glob("**/AUDIT/streams/AUDIT/msgs"))
    block = next(messages.glob("*.blk"))
    content = bytearray(block.read_bytes())
    content[len(content) // 2] ^= 1
    block.write_bytes(content)
    (messages / "index.db").unlink(missing_ok=True)


STEPS = (
    Step("an agent is asked and answers through a model", _ask),
    Step("the same with nothing but nats req", _ask_with_nats),
    Step("a typed skill takes and gives JSON", _typed),
    Step("bad input is refused with the path of the bad field", _typed_refusal),
    Step("an agent that nobody serves is unavailable at once", _unavailable),
    Step("an agent passes work on to two others", _agent_to_agent),
    Step("a request becomes a task that can be looked at", _background),
    Step("a card shows what an agent can do, with schemas", _card),
    Step("a task left for an agent that is down is done when it is back", _task_for_the_absent),
    Step("a rejected change, a wrong digest and a stranger's vote change nothing", _refusals),
    Step("an approved change goes live, and the agent answers differently", _approval),
    Step("the trail tells of all of it", _trail),
    Step("the trail is verified: sound", _verified),
    Step("one changed byte in the server's store is found", _tampering),
)
