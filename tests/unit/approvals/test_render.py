"""What a reviewer's terminal gets: 80 columns, nothing alive in it, first and last line as promised."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from approvals.reviewing import render
from approvals.verdict.machine import VOTABLE, Case, State
from schemas.approvals import ChangedFile
from tests.unit.approvals.cases import HOUR, MADE_AT, case, cast, panel, proposal

NOW = MADE_AT + HOUR
EVIL = "\x1b[2J\x1b[31mOK\r\b\x07\x9b\u202eevil\u2066\u200b\u200d\ufeff\u2028OK p-x\u2029\x85\x0b\x0c\x1c\U000e0041\ud800\nOK done\n"
FORBIDDEN = {
    *map(chr, (*range(10), *range(11, 32), *range(127, 160))),
    *"\u202e\u2066\u200b\u200d\ufeff\u2028\u2029\U000e0041\ud800",
}
TEXT = st.text(max_size=200) | st.sampled_from([EVIL, EVIL * 9, "x" * 300, "a b " * 90, ""])
DIFF = "diff --git a/agent.yaml b/agent.yaml\nindex 1..2 100644\n--- a/agent.yaml\n+++ b/agent.yaml\n@@ -1 +1 @@\n-a\n+{}\n"


def full_of(text: str, state: State = "open") -> Case:
    """A case in which everything that others wrote is `text`."""
    files = (ChangedFile(path=text, mode="100644", sha256="1"), ChangedFile(path=text, mode="100755"))
    diff = DIFF.format(text.replace("\n", "\n+")) + (text if state == "invalid" else "")
    about = proposal(agent=text, rationale=text, diff=diff, files=files)
    start = case(proposal())
    votes = (cast("approve", "ann", start, reason=text), cast("reject", "b" * 25, start, reason=text, sequence=2))
    panels = (panel(2, "g" * 63, "staff", risk="high", rule=text),) * 2
    return case(
        proposal(),
        proposer=text,
        proposal=about,
        votes=votes,
        note=text,
        state=state,
        panels=panels,
        checks=text,
        flags=(text,),
    )


def answers(about: Case) -> dict[str, str]:
    """Every answer about a case."""
    return {
        "show": render.show(about, NOW),
        "history": render.history(about),
        "listing": render.listing([about, about], NOW),
        "voted": render.voted(about, "approve", is_new=True),
        "error": render.error(about.note, "approvals.list ''"),
    }


def command_of(about: Case) -> str:
    """The one line that may be longer, because it is to be copied whole."""
    return f"nats req approvals.approve '{about.id} {about.digest} your reason'"


@settings(deadline=None)
@given(TEXT, st.sampled_from(get_args(State)))
def test_every_answer_is_plain_and_narrow(text: str, state: State) -> None:
    """Whatever stands in rationale, paths, diff, reasons, votes, notes and names: 80 columns, and only what can be seen."""
    about = full_of(text, state)
    for name, answer in answers(about).items():
        assert answer.endswith("\n")
        first, *rest = answer[:-1].split("\n")
        assert first.startswith("ERR" if name == "error" else "OK ")
        assert all(char.isprintable() or char == "\n" or char.isspace() for char in answer)
        assert not FORBIDDEN.intersection(answer)
        for line in (first, *rest):
            assert len(line) <= 80 or line == command_of(about)


@pytest.mark.parametrize("answer", ["show", "history", "listing", "error"])
def test_what_is_hidden_is_made_visible(answer: str) -> None:
    """An escape sequence is shown as the characters it is made of."""
    assert "\\x1b[2J" in answers(full_of(EVIL))[answer]


@pytest.mark.parametrize("state", get_args(State))
@pytest.mark.parametrize("name", ["show", "history", "listing", "error"])
def test_no_text_of_others_begins_a_line_of_the_answer(name: str, state: State) -> None:
    """Only the first line says OK or ERR: nobody can write a second answer, or another command, below it."""
    said = answers(full_of("OK approved\nOK approved\rnats req x\nnats req x", state))[name]
    body = said.split("\n")[1:-2] if name == "show" else said.split("\n")[1:]
    assert [line for line in body if line.startswith(("OK", "ERR", "nats req"))] == []


@pytest.mark.parametrize("brk", ["\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029"])
@pytest.mark.parametrize("header", ["index = evil()", "diff --git evil"])
def test_no_line_of_a_diff_can_hide(brk: str, header: str) -> None:
    """Only a newline ends a line of a diff: behind another break nothing passes for a header that is left out."""
    about = case(proposal(diff=DIFF.format(f"x = 1{brk}{header}")))
    shown = render.show(about, NOW)
    assert header in shown
    assert f"+x = 1\\{'u' if ord(brk) > 255 else 'x'}" in shown


def test_a_shown_proposal_ends_in_the_command_to_approve_it() -> None:
    """The last line, copied as it is, approves exactly these bytes."""
    about = full_of("because")
    lines = render.show(about, NOW)[:-1].split("\n")
    assert lines[-1] == f"nats req approvals.approve '{about.id} {about.digest} your reason'"
    assert len(about.digest) == 64
    assert lines[-2] == f"digest {about.digest}"


@pytest.mark.parametrize("state", [state for state in get_args(State) if state not in VOTABLE])
def test_there_is_no_command_where_nothing_can_be_approved(state: State) -> None:
    """A decided proposal says so instead."""
    last = render.show(full_of("because", state), NOW)[:-1].split("\n")[-1]
    assert last == f"This proposal is {state.replace('_', ' ')}; there is nothing to vote on."


def test_a_shown_proposal_says_what_a_reviewer_needs() -> None:
    """Who, what kind, why, risk, votes so far and needed, time left, files with modes, and the diff."""
    about = case(
        proposal(rationale="to be polite", diff=DIFF.format("b")),
        votes=(cast("approve", "ann", case(), reason="fine"),),
    )
    shown = render.show(about, NOW)
    for piece in (
        f"OK {about.id} is open", "greeter asks to change its own config; risk low", "23h00m left to decide",
        "1 of 2 approvals by staff", "policy 7: rule 1, agents/**", "to be polite", "ann: approve fine"[5:],
        "100644 agent.yaml", "@@ -1 +1 @@", "\n-a\n+b\n",
    ):  # fmt: skip
        assert piece in shown


def test_a_long_diff_is_cut_and_says_so() -> None:
    """What is not shown is announced, with the way to all of it."""
    shown = render.show(case(proposal(diff="+x\n" * 500 + "+" + "y" * 200 + "\n")), NOW)
    assert shown.count("\n+x") == 400
    assert "(101 more lines)" in shown
    assert "Accept:application/json" in shown


def test_the_list_is_a_table_with_the_newest_first() -> None:
    """One line a proposal, and how to read one."""
    old, new = case(sequence=1), case(proposal(nonce="n2"), sequence=2)
    head, columns, *rows = render.listing([old, new], NOW)[:-1].split("\n")
    assert head == "OK 2 proposals"
    assert columns.split() == ["ID", "AGENT", "KIND", "RISK", "STATE", "VOTES", "LEFT"]
    assert [row.split()[0] for row in rows[:2]] == [new.id, old.id]
    assert rows[0].split()[1:] == ["greeter", "config", "low", "open", "0/2", "23h00m"]
    assert rows[2] == f"Read one: nats req approvals.show {new.id}"


def test_an_empty_list_says_so() -> None:
    """No proposals is an answer too."""
    assert render.listing([], NOW) == "OK 0 proposals\nNothing waits for approval.\n"


@pytest.mark.parametrize(
    ("say", "expected"),
    [
        (lambda: render.voted(case(), "approve", is_new=True), f"OK you approved {case().id}\n0 of 2"),
        (lambda: render.voted(case(), "reject", is_new=False), f"OK you rejected {case().id} (already recorded)\n"),
        (lambda: render.voted(case(), "revoke", is_new=True), f"OK you revoked your vote on {case().id}\n"),
        (lambda: render.voted(case(state="approved"), "approve", is_new=True), "is approved\nThe applier"),
        (lambda: render.error("no"), "ERR no\n"),
        (lambda: render.error("no", "this"), "ERR no\ntry this\n"),
    ],
)
def test_short_answers(say: Callable[[], str], expected: str) -> None:
    """The first line says what happened, the next what it means."""
    assert expected in say()
