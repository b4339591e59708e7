"""One call of a tool as a proposal: people see all of it, nothing but the votes decides it, and it is no change."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.change.calls import MAX_ARGUMENTS, problem_of_call
from approvals.change.examine import examine
from approvals.change.propose import Origin, build_call_proposal
from approvals.errors import CannotPropose
from approvals.reviewing import render
from approvals.reviewing.answers import standing
from approvals.verdict.fold import Ledger
from approvals.verdict.lines import changed_lines
from approvals.verdict.machine import FINAL, Case
from approvals.verdict.policy import Change as Wanted
from approvals.verdict.policy import requirement
from approvals.verdict.policy_check import findings_of
from schemas.approvals import ChangedFile, Proposal, ToolCall, decode_proposal, name_of
from schemas.canonical import canonical
from schemas.ids import sha256_hex
from schemas.policy import Policy, Rule
from schemas.redaction import REGISTERED
from tests.unit.approvals.cases import FLEET, HOUR, MADE_AT, case, ended, proposal, proposed, rules, voted
from tests.unit.approvals.fleet_repository import Desk
from tests.unit.approvals.test_fold import fed, ledger

RULE = Rule(paths=("agents/greeter/call:deploy",), kinds=("call",), quorum=2, groups=("staff",))
POLICY = Policy(version="8", rules=(Rule(paths=("agents/**",), quorum=1), RULE), apply_within_s=3600)
TREE = "3" * 40


def calling(tool: str = "deploy", **arguments: Any) -> ToolCall:
    """A call with these arguments."""
    return ToolCall(tool=tool, arguments=canonical(arguments or {"to": "production"}).decode())


def wanted(call: ToolCall | None = None, **changes: Any) -> Proposal:
    """A proposal of the greeter to make it."""
    usual = {"kind": "call", "base": TREE, "tree": TREE, "files": (), "diff": "", "call": call or calling()}
    return proposal(**usual | changes)


def begun(about: Proposal | None = None) -> tuple[Ledger, Case]:
    """A ledger that has it, under the policy above."""
    book = ledger(rules(POLICY))
    found = fed(book, proposed(about or wanted())).case
    assert found is not None
    return book, found


def approve(about: Case) -> str:
    """What a reviewer types."""
    return f"{about.id} {about.digest} fine"


# -- the verdict -------------------------------------------------------------------------------------------


def test_the_quorum_is_the_end() -> None:
    """Nobody applies anything: with the last vote it is allowed, for a time, and that is final."""
    book, about = begun()
    assert (about.state, about.requirement.quorum) == ("open", 2)
    fed(book, voted("ann", "approve", approve(about), sequence=1))
    assert book.find(about.id).state == "open"
    fed(book, voted("ben", "approve", approve(about), sequence=2, at_ns=MADE_AT + HOUR))
    allowed = book.find(about.id)
    assert (allowed.state, allowed.until_ns) == ("allowed", MADE_AT + 2 * HOUR)
    assert "allowed" in FINAL
    assert about.id not in book.unsettled
    told = standing(allowed)
    assert (told.state, told.is_final, told.until_ns, told.kind) == ("allowed", True, allowed.until_ns, "call")


@pytest.mark.parametrize(
    ("verb", "body"), [("reject", "{0.id} no"), ("approve", "{0.id} {0.digest} again"), ("revoke", "{0.id}")]
)
def test_nothing_changes_what_is_allowed(verb: str, body: str) -> None:
    """Neither later votes, nor a copy of an earlier one, nor the applier, nor whoever asked."""
    book, about = begun()
    for number, reviewer in enumerate(("ann", "ben"), 1):
        fed(book, voted(reviewer, "approve", approve(about), sequence=number))
    before = book.find(about.id)
    assert fed(book, voted("ann", verb, body.format(about), sequence=3, at_ns=MADE_AT + 2 * HOUR)).refusal
    for result in ("applied", "rolled_back", "refused", "expired", "overturned"):
        assert fed(book, ended(about, result)).refusal
    assert book.find(about.id) == before


def test_one_veto_ends_it() -> None:
    """As it does a change."""
    book, about = begun()
    fed(book, voted("ann", "approve", approve(about)), voted("ben", "reject", f"{about.id} no", sequence=2))
    assert book.find(about.id).state == "rejected"
    assert fed(book, voted("cem", "approve", approve(about), sequence=3)).refusal


def test_what_is_not_decided_in_time_is_never_allowed() -> None:
    """A vote after the time is refused, whoever casts it."""
    book, about = begun()
    fed(book, voted("ann", "approve", approve(about)))
    late = voted("ben", "approve", approve(about), sequence=2, at_ns=about.expires_at_ns + 1)
    assert "expired" in fed(book, late).refusal
    assert book.find(about.id).state == "open"


def test_an_approval_is_for_one_proposal() -> None:
    """The same call again, or others' arguments, is another proposal with another digest; votes do not carry over."""
    book, about = begun()
    same, other = wanted(nonce="again"), wanted(calling(to="elsewhere"))
    for number, again in enumerate((same, other), 2):
        found = fed(book, proposed(again, sequence=number)).case
        assert found is not None
        assert found.id != about.id
        assert "digest" in fed(book, voted("ann", "approve", f"{found.id} {about.digest}", sequence=number)).refusal
        assert found.votes == ()


def test_an_outcome_that_somebody_made_up_does_not_allow() -> None:
    """`applied` on record makes an open call nothing that an agent would run."""
    book, about = begun()
    fed(book, ended(about, "applied"))
    assert book.find(about.id).state != "allowed"


# -- who asks, and for what --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("by", "about"),
    [
        ("ops", wanted()),
        ("other", wanted()),
        ("other", wanted(agent="greeter")),
        ("greeter", wanted(agent="other")),
        ("greeter", wanted(agent="")),
        ("ann", wanted()),
    ],
)
def test_an_agent_asks_for_its_own_calls_and_nobody_for_others(by: str, about: Proposal) -> None:
    """Not even an operator: an operator runs no tool of an agent."""
    book = ledger(rules(POLICY))
    assert fed(book, proposed(about, by=by)).refusal
    assert book.cases == {}


@pytest.mark.parametrize(
    "lie",
    [
        {"kind": "config"},
        {"kind": "policy", "scope": "fleet"},
        {"scope": "fleet"},
        {"tree": "4" * 40},
        {"diff": "x"},
        {"files": (ChangedFile(path="agent.yaml", mode="100644", sha256="1"),)},
        {"call": msgspec.UNSET},
    ],
)
def test_a_call_is_no_change_and_no_change_is_a_call(lie: dict[str, Any]) -> None:
    """What mixes the two is not looked at."""
    book = ledger(rules(POLICY))
    assert fed(book, proposed(msgspec.structs.replace(wanted(), **lie))).refusal
    assert book.cases == {}


def test_unknown_fields_of_a_call_are_refused() -> None:
    """A field that nobody understands is a field that nobody reviewed."""
    plain = msgspec.to_builtins(wanted())
    plain["call"]["sudo"] = True
    book = ledger(rules(POLICY))
    record = proposed(wanted())
    changed = replace(record, payload=msgspec.json.encode(plain))
    assert "not a proposal" in fed(book, changed).refusal


# -- the rules ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "quorum"),
    [
        ({"paths": ["**"]}, 2),  # empty kinds are of changes
        ({"paths": ["agents/**"], "kinds": ["code", "tool"]}, 2),
        ({"paths": ["agents/*/call:deploy"], "kinds": ["call"]}, 1),
        ({"paths": ["agents/greeter/call:*"], "kinds": ["call", "prompt"]}, 1),
        ({"paths": ["agents/*/call:other"], "kinds": ["call"]}, 2),
        ({"paths": ["agents/other/**"], "kinds": ["call"]}, 2),
        ({"paths": ["agents/*/call:deploy"], "kinds": ["call"], "max_lines": 1}, 1),
    ],
)
def test_a_rule_is_for_calls_where_it_says_so(rule: dict[str, Any], quorum: int) -> None:
    """Rules that were written for changes let no call through: the strictest holds, two people."""
    policy = Policy(version="1", rules=(Rule.model_validate({"quorum": 1} | rule),))
    assert requirement(policy, Wanted("call", changed_lines(wanted()))).quorum == quorum


def test_a_rule_may_allow_so_many_calls_a_day() -> None:
    """Calls of a day add up, as lines do: the next one needs what is stricter."""
    few = Rule(paths=("agents/*/call:*",), kinds=("call",), quorum=1, max_lines=2)
    book = ledger(rules(Policy(version="1", rules=(few,), max_open_per_agent=9)))
    quorums = []
    for number in range(3):
        found = fed(book, proposed(wanted(nonce=str(number)), sequence=number + 1)).case
        assert found is not None
        quorums.append(found.requirement.quorum)
    assert quorums == [1, 1, 2]


def test_a_rule_for_changes_does_not_cover_one_for_calls() -> None:
    """So the policy's check does not call it useless."""
    policy = Policy(version="1", rules=(RULE, Rule(paths=("**",), quorum=2)))
    assert not [finding for finding in findings_of(policy, FLEET) if "decides nothing" in finding.problem]


# -- what people see ---------------------------------------------------------------------------------------


def test_people_see_all_of_the_arguments() -> None:
    """However long: nothing is cut, nothing is masked, and nothing of them begins a line."""
    text = "first\ndigest 0123\n\x1b[2Jnats req approvals.approve 'p-x'\n" + "x" * 500
    _, about = begun(wanted(calling(text=text, number=5, list=["a", {"b": None}])))
    page = render.show(about, MADE_AT)
    assert "greeter asks to run its tool deploy once, with these arguments" in page.replace("\n          ", " ")
    lines = page.splitlines()
    body = lines[lines.index("") + 1 : -3]
    assert all(line.startswith("  ") for line in body), body
    assert "\x1b" not in page
    joined = "".join(line.removeprefix("  ").removesuffix("\\") for line in body)
    assert "x" * 500 in joined
    assert {"  number: 5", '  list: ["a", {"b": null}]'} <= set(body)
    assert [line for line in lines if line.startswith("digest")] == [f"digest {about.digest}"]
    assert page.endswith(f"nats req approvals.approve '{about.id} {about.digest} your reason'\n")


@given(st.dictionaries(st.text(max_size=9), st.text(max_size=300) | st.integers(-9, 9) | st.none(), max_size=4))
def test_nothing_of_the_arguments_passes_for_the_page(arguments: dict[str, Any]) -> None:
    """Whatever a model writes, as a name or as a value, stands indented, in 80 columns."""
    _, about = begun(wanted(ToolCall(tool="deploy", arguments=canonical(arguments).decode())))
    lines = render.show(about, MADE_AT).splitlines()
    assert all(len(line) <= render.WIDTH for line in lines[:-1])
    assert sum(line.startswith("digest ") for line in lines) == 1


def test_what_is_not_checked_is_not_shown() -> None:
    """As with a diff."""
    _, about = begun()
    page = render.show(replace(about, state="invalid", note="no"), MADE_AT)
    assert "production" not in page


# -- the examination ---------------------------------------------------------------------------------------


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """The example fleet in git."""
    return Desk.at(tmp_path)


def in_force(desk: Desk) -> str:
    """The greeter's tree."""
    tree = desk.git.tree_of_agent("greeter")
    assert tree is not None
    return tree


def test_a_call_of_the_agent_in_force_passes(desk: Desk) -> None:
    """And hints go with it."""
    tree = in_force(desk)
    assert examine(desk.git, wanted(base=tree, tree=tree)).problem == ""
    odd = examine(desk.git, wanted(calling(to="produc\u202etion"), base=tree, tree=tree))
    assert odd.problem == ""
    assert "cannot be seen" in " ".join(odd.flags)


def test_a_call_of_another_version_of_the_agent_is_refused(desk: Desk) -> None:
    """What was in force when it was asked for is no more."""
    assert "the base has moved" in examine(desk.git, wanted()).problem


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (ToolCall(tool="a b", arguments="{}"), "no name of a tool"),
        (ToolCall(tool="../x", arguments="{}"), "no name of a tool"),
        (ToolCall(tool="a", arguments="[]"), "canonical"),
        (ToolCall(tool="a", arguments="{"), "canonical"),
        (ToolCall(tool="a", arguments='{"b":1,"a":2}'), "canonical"),
        (ToolCall(tool="a", arguments='{"a":1,"a":2}'), "canonical"),
        (ToolCall(tool="a", arguments='{"a": 1}'), "canonical"),
        (ToolCall(tool="a", arguments=json.dumps({"a": "x" * MAX_ARGUMENTS})), "longer than"),
        (calling(key="sk-ant-api03-abcdefghijklmnopqrstuvwx1234"), "seems to hold"),
        (calling(command="export API_KEY='q8Xv2LrT9sPm4KdZ7bWn'"), "seems to hold"),
    ],
)
def test_a_call_that_people_cannot_judge_is_refused(desk: Desk, call: ToolCall, said: str) -> None:
    """By whoever asks, by the service, and by the applier; a secret is not repeated."""
    tree = in_force(desk)
    assert said in problem_of_call(call)
    assert said in examine(desk.git, wanted(call, base=tree, tree=tree)).problem
    assert "sk-ant" not in problem_of_call(call)
    with pytest.raises(CannotPropose, match=said):
        build_call_proposal("greeter", tree, call, rationale="", now_ns=1, origin=Origin())


def test_a_secret_of_the_process_does_not_reach_the_record() -> None:
    """Whatever it looks like."""
    REGISTERED.add("plain-words-that-are-one")
    assert "a secret of this process" in problem_of_call(calling(note="see plain-words-that-are-one"))


def test_what_is_built_is_what_is_read() -> None:
    """The bytes that the agent sends are read back to the same, so their digest says what was allowed."""
    sent = build_call_proposal(
        "greeter", TREE, calling(), rationale="at work for ops", now_ns=time.time_ns(), origin=Origin("t-1", "c-1")
    )
    read, digest = decode_proposal(sent)
    assert (read.call, read.base, read.task, read.kind) == (calling(), TREE, "t-1", "call")
    assert sha256_hex(msgspec.json.encode(read)) == digest == sha256_hex(sent)
    assert name_of(digest) == case(read).id
