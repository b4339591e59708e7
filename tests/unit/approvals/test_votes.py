"""What travels to the approval service: a reviewer's words, and a proposal's exact bytes."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.approvals import OutcomeRecord, Vote, decode_proposal, name_of, parse_vote
from schemas.errors import InvalidDocument
from schemas.ids import sha256_hex
from tests.unit.approvals.cases import proposal

ID, DIGEST = "p-7q2fabcd", "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("verb", "body", "digest", "reason"),
    [
        ("approve", f"{ID} {DIGEST}", DIGEST, ""),
        ("approve", f"{ID} {DIGEST} looks right to me", DIGEST, "looks right to me"),
        ("approve", f"  {ID}\t{DIGEST}\nlooks right\n", DIGEST, "looks right"),
        ("reject", ID, "", ""),
        ("reject", f"{ID} too broad", "", "too broad"),
        ("reject", f"{ID} {DIGEST} too broad", DIGEST, "too broad"),
        ("reject", f"{ID} {DIGEST[:-1]} short", "", f"{DIGEST[:-1]} short"),
        ("revoke", f"{ID} I was wrong", "", "I was wrong"),
    ],
)
def test_what_a_reviewer_types(verb: str, body: str, digest: str, reason: str) -> None:
    """The id, then the digest (required to approve), then any reason."""
    vote = parse_vote(verb, body.encode())  # type: ignore[arg-type]
    assert vote == Vote(verb=verb, proposal=ID, digest=digest, reason=reason)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "body",
    ["", " ", "p-", "p-7q2fabc", "p-7q2fabcde", "P-7Q2FABCD", "p-7q2fabc1", f"x{ID}", f"{ID}.", f"{DIGEST} {ID}"],
)
@pytest.mark.parametrize("verb", ["approve", "reject", "revoke"])
def test_without_an_id_the_form_is_explained(verb: str, body: str) -> None:
    """The answer to anything else is how to type it."""
    with pytest.raises(InvalidDocument, match=f"type: approvals.{verb} '<proposal> <digest> <reason>'"):
        parse_vote(verb, body.encode())  # type: ignore[arg-type]


@pytest.mark.parametrize("second", ["", "yes", DIGEST[:-1], DIGEST + "0", DIGEST.upper()])
def test_approving_needs_the_full_digest(second: str) -> None:
    """No short, long or differently written digest approves."""
    with pytest.raises(InvalidDocument, match=f"full digest; approvals.show {ID}"):
        parse_vote("approve", f"{ID} {second}".encode())


@given(st.binary(max_size=60))
def test_any_bytes_are_a_vote_or_refused(tail: bytes) -> None:
    """No bytes after the id make reading fail in another way, and a reason is bounded."""
    vote = parse_vote("reject", ID.encode() + b" " + tail * 100)
    assert vote.proposal == ID
    assert len(vote.reason) <= 500


def test_the_digest_is_over_the_received_bytes() -> None:
    """The same values in other bytes are another proposal."""
    about = proposal()
    data = msgspec.json.encode(about)
    spaced = data.replace(b'":', b'": ')
    assert decode_proposal(data) == (about, sha256_hex(data))
    assert decode_proposal(spaced) == (about, sha256_hex(spaced))
    assert name_of(sha256_hex(data)) != name_of(sha256_hex(spaced))


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{", b"[]", b"\xff", msgspec.json.encode(proposal()).replace(b"because", b"\xff"),
        msgspec.json.encode(proposal()).replace(b'"nonce"', b'"surprise":1,"nonce"'),
        msgspec.json.encode(proposal()).replace(b'"path"', b'"owner":"root","path"'),
        msgspec.json.encode(proposal()).replace(b'"config"', b'"nonsense"'),
        msgspec.json.encode(proposal()).replace(b"100644", b"120000"),
        msgspec.json.encode(proposal()).replace(b"because", b"\\ud800"),
        msgspec.json.encode(proposal()).replace(b'"because"', b"[" * 100_000),
    ],
)  # fmt: skip
def test_a_proposal_with_anything_unknown_is_refused(data: bytes) -> None:
    """A field that nobody understands is a field that nobody reviewed."""
    with pytest.raises(InvalidDocument, match="not a proposal"):
        decode_proposal(data)


def test_an_outcome_with_anything_unknown_is_refused() -> None:
    """The same holds for what the applier reports."""
    record = OutcomeRecord(proposal=ID, digest=DIGEST, result="applied", reason="r", verdict_sequence=1)
    data = msgspec.json.encode(record)
    assert msgspec.json.decode(data, type=OutcomeRecord) == record
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(data[:-1] + b',"more":1}', type=OutcomeRecord)
