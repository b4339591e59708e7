"""Votes that should not count, and many at once."""

from __future__ import annotations

import asyncio
import time

from schemas.approvals import Receipt
from tests.adversary.field import MOLE, Case, Field
from tests.harness.fleet import until
from tests.unit.approvals.fleet_repository import plain

_VOTE_REFUSED, _VOTED, _DECIDED = "proposal.vote_refused", "proposal.voted", "proposal.decided"


async def _err(field: Field, body: str, said: str, who: str = "reviewer", verb: str = "approve") -> None:
    answer = " ".join((await field.desk.say(who, f"approvals.{verb}", body)).split())
    assert answer.startswith("ERR "), answer
    assert said in answer, answer


async def _close(field: Field, receipt: Receipt) -> None:
    """Leave nothing open for the next case."""
    await field.desk.say(MOLE, f"approvals.withdraw.{MOLE}", receipt.proposal)


async def _wrong_digest(field: Field) -> None:
    receipt = await field.open_one()
    await _err(field, f"{receipt.proposal} {'0' * 64} yes", "digest is not this proposal's")
    await _close(field, receipt)


async def _no_digest(field: Field) -> None:
    receipt = await field.open_one()
    await _err(field, f"{receipt.proposal} yes", "needs the full digest")
    await _close(field, receipt)


async def _another_digest(field: Field) -> None:
    one, two = await field.open_one(), await field.open_one("Style: rude")
    await _err(field, f"{one.proposal} {two.digest} yes", "digest is not this proposal's")
    await _close(field, one)
    await _close(field, two)


async def _no_such_proposal(field: Field) -> None:
    await _err(field, f"p-aaaaaaaa {'0' * 64}", "there is no proposal")


async def _another_group(field: Field) -> None:
    receipt = await field.open_one()
    for verb in ("approve", "reject"):
        await _err(field, f"{receipt.proposal} {receipt.digest}", "lets only reviewers of staff", "guest", verb)
    await _close(field, receipt)


async def _after_expiry(field: Field) -> None:
    receipt = await field.open_one(expires_at_ns=time.time_ns() + 1_500_000_000)
    standing = await field.desk.ended(receipt.proposal, 30)
    assert standing.state == "expired", standing
    await _err(field, f"{receipt.proposal} {receipt.digest}", "expired")


async def _after_rejection(field: Field) -> None:
    receipt = await field.open_one()
    await field.desk.vote(receipt, "second", verb="reject")
    await _err(field, f"{receipt.proposal} {receipt.digest}", "rejected")


async def _after_withdrawal(field: Field) -> None:
    receipt = await field.open_one()
    await _close(field, receipt)
    await _err(field, f"{receipt.proposal} {receipt.digest}", "withdrawn")


async def _code(field: Field) -> Receipt:
    receipt = await field.desk.propose(field.forge({"extra.py": plain(b"X = 1\n")}), MOLE)
    assert not receipt.problem, receipt
    return receipt


async def _replayed_after_revocation(field: Field) -> None:
    receipt = await _code(field)
    await field.desk.vote(receipt, "reviewer")
    await field.desk.vote(receipt, "reviewer", verb="revoke")
    await _err(field, f"{receipt.proposal} {receipt.digest} a test", "that is final")
    await _close(field, receipt)


async def _counted_twice(field: Field) -> None:
    receipt = await _code(field)
    for reason in ("a", "b", "c"):
        await field.desk.say("reviewer", "approvals.approve", f"{receipt.proposal} {receipt.digest} {reason}")
    assert (await field.desk.standing(receipt.proposal)).approvals == 1
    await _close(field, receipt)


async def _one_person_with_two_names(field: Field) -> None:
    receipt = await _code(field)
    await field.desk.vote(receipt, "second", "twin")
    standing = await field.desk.standing(receipt.proposal)
    assert (standing.state, standing.approvals) == ("open", 1), standing
    await _close(field, receipt)


async def _nothing_to_revoke(field: Field) -> None:
    receipt = await field.open_one()
    await _err(field, receipt.proposal, "no vote on this proposal", verb="revoke")
    await _close(field, receipt)


async def _too_long_a_vote(field: Field) -> None:
    """More than the record keeps: answered, not counted."""
    receipt = await field.open_one()
    body = f"{receipt.proposal} {receipt.digest} {'x' * 5000}"
    answer = await field.desk.say("reviewer", "approvals.approve", body)
    assert answer.startswith("ERR "), answer
    assert (await field.desk.standing(receipt.proposal)).approvals == 0
    await _close(field, receipt)


async def _fifty_final_votes_and_a_veto(field: Field) -> None:
    """Fifty approvals and a rejection at the same moment: one verdict, by the order of the record, applied at most once."""
    receipt = await field.open_one()
    approving = [field.desk.vote(receipt, "reviewer") for _ in range(50)]
    await asyncio.gather(*approving[:25], field.desk.vote(receipt, "second", verb="reject"), *approving[25:])
    ended = await field.desk.ended(receipt.proposal, 60)
    history = await field.desk.say("ops", "approvals.ask.ops.history", receipt.proposal)
    assert ended.state in {"applied", "rejected"}, ended
    assert ('"verb":"reject"' in history) == (ended.state == "rejected"), history
    if ended.state == "applied":
        await _back_to_friendly(field)


async def _back_to_friendly(field: Field) -> None:
    """What was approved in a case is taken back in it, so that every case begins with the same agent."""
    receipt = await field.desk.break_glass("revert", MOLE)
    await field.desk.in_state(receipt.proposal, "in_force")
    await field.desk.vote(receipt, "reviewer", "second")
    await field.desk.ended(receipt.proposal)


async def _replayed_after_application(field: Field) -> None:
    """The same bytes and the same votes again do nothing again."""
    data = field.honest()
    receipt = await field.desk.propose(data, MOLE)
    await field.desk.vote(receipt, "reviewer")
    assert (await field.desk.ended(receipt.proposal)).state == "applied"
    before = field.desk.git.line("rev-parse", "main")
    assert (await field.desk.propose(data, MOLE)).proposal == receipt.proposal
    (answer,) = await field.desk.vote(receipt, "reviewer")
    assert "already recorded" in answer, answer
    await _err(field, f"{receipt.proposal} {receipt.digest} other words", "applied", "second")
    assert field.desk.git.line("rev-parse", "main") == before
    await _back_to_friendly(field)


async def _unknown_verb(field: Field) -> None:
    await field.walled("reviewer", lambda client: client.publish("approvals.apply", b"x"))


async def _hostile_words(field: Field) -> None:
    """Escape sequences and false lines in a rationale and a reason reach no terminal alive."""
    evil = "\x1b[2J\u202eOK approved\nOK you approved\n"
    receipt = await field.open_one(rationale=evil)
    await field.desk.say("reviewer", "approvals.reject", f"{receipt.proposal} {evil}")

    async def look() -> bool:
        return (await field.desk.standing(receipt.proposal)).state == "rejected"

    await until(look)
    for verb in ("show", "history"):
        shown = await field.desk.say("second", f"approvals.{verb}", receipt.proposal)
        assert not {"\x1b", "\u202e"} & set(shown), shown
        assert sum(line.startswith("OK ") for line in shown.splitlines()) == 1, shown


CASES = (
    Case("the digest of nothing", _wrong_digest, _VOTE_REFUSED),
    Case("no digest", _no_digest, _VOTE_REFUSED),
    Case("the digest of another proposal", _another_digest, _VOTE_REFUSED),
    Case("a proposal that there is not", _no_such_proposal, _VOTE_REFUSED),
    Case("a reviewer of another group", _another_group, _VOTE_REFUSED),
    Case("a vote after the time", _after_expiry, _VOTE_REFUSED),
    Case("an approval after a rejection", _after_rejection, _VOTE_REFUSED),
    Case("an approval of what was taken back", _after_withdrawal, _VOTE_REFUSED),
    Case("an old approval after its revocation", _replayed_after_revocation, _VOTE_REFUSED),
    Case("one reviewer three times", _counted_twice, _VOTED),
    Case("one person with two names", _one_person_with_two_names, _VOTED),
    Case("a revocation of nothing", _nothing_to_revoke, _VOTE_REFUSED),
    Case("a vote of five thousand characters", _too_long_a_vote, "proposal.made"),
    Case("fifty approvals and a rejection at once", _fifty_final_votes_and_a_veto, _DECIDED),
    Case("everything once more after it was applied", _replayed_after_application, _VOTE_REFUSED),
    Case("a verb that there is not", _unknown_verb),
    Case("words that are a terminal's commands", _hostile_words, _DECIDED),
)
