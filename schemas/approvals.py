"""Proposals, votes and outcomes: what agents ask for, what reviewers say, what the applier did.

Unknown fields are refused here, unlike elsewhere: a reviewer approves exact bytes, and a field
nobody understands is a field nobody reviewed. A proposal's digest is sha256 over its received bytes.
"""

from __future__ import annotations

import re
from typing import Final, Literal

import msgspec

from schemas.errors import UNREADABLE, InvalidDocument
from schemas.ids import proposal_id, sha256_hex

Kind = Literal["config", "prompt", "code", "tool", "model", "budget", "authority", "policy", "halt", "revert", "call"]
"""`authority` is what an agent may do on the bus, `policy` who decides; `halt` and `revert` break the glass; `call` is
no change but one call of a tool."""
PROTECTED: frozenset[Kind] = frozenset({"authority", "policy", "halt", "revert"})
"""Kinds that no rule can make lenient: always the highest quorum."""
Scope = Literal["agent", "fleet"]
GlassVerb = Literal["halt", "revert"]
VotingVerb = Literal["approve", "reject", "revoke"]
ReadingVerb = Literal["list", "show", "history"]
VOTING_VERBS: tuple[VotingVerb, ...] = ("approve", "reject", "revoke")
READING_VERBS: tuple[ReadingVerb, ...] = ("list", "show", "history")
GLASS_VERBS: tuple[GlassVerb, ...] = ("halt", "revert")
Result = Literal["checked", "applied", "rolled_back", "refused", "expired", "overturned"]
FileMode = Literal["100644", "100755"]


class ChangedFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file of the change; `path` is relative to the scope's folder; no `sha256` means it is removed."""

    path: str
    mode: FileMode
    sha256: str = ""


class ToolCall(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One call of a tool, exactly: `arguments` is the canonical JSON (RFC 8785) of all of them, defaults included."""

    tool: str
    arguments: str


EMPTY_TREE: Final = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
"""The git tree without entries, which every repository has: what an agent's folder is before there is one."""


class Proposal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A change to one agent's folder (scope `agent`), or to the fleet's own files (scope `fleet`); or one call of a tool.

    `base` and `tree` are git tree ids of that folder before and after (of the fleet: everything but `agents/`);
    `diff` is `git diff --full-index --no-renames` between them; times are nanoseconds since the Unix epoch.
    `agent` is whom the change is about; empty where it is about nobody alone. Who proposes is the subject's word.
    With `call` nothing changes: `base` and `tree` are both the tree of the agent that wants to make it.
    A `base` that is the empty tree is the folder of a new agent, which the fleet does not have yet (kind `authority`).
    """

    agent: str
    kind: Kind
    base: str
    tree: str
    diff: str
    files: tuple[ChangedFile, ...]
    rationale: str
    made_at_ns: int
    expires_at_ns: int
    nonce: str
    task: str = ""
    correlation: str = ""
    scope: Scope | msgspec.UnsetType = msgspec.UNSET
    call: ToolCall | msgspec.UnsetType = msgspec.UNSET

    @property
    def is_of_fleet(self) -> bool:
        """Whether it changes the fleet's own files."""
        return self.scope == "fleet"

    @property
    def is_of_newcomer(self) -> bool:
        """Whether it brings the files of an agent that the fleet does not have."""
        return self.base == EMPTY_TREE and not self.is_of_fleet and not isinstance(self.call, ToolCall)


class BrokenGlass(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an operator does to an agent at once: stop it, or put back the release before its present one.

    The verb is the subject's. It holds until `expires_at_ns` unless reviewers confirm it before.
    """

    agent: str
    reason: str
    made_at_ns: int
    expires_at_ns: int
    nonce: str


class Evaluation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How an agent did when an operator evaluated it. It informs reviewers and decides nothing.

    `cases` were tried, `passed` passed; `suite` is the SHA-256 of the file that names them. With `proposal` and its
    `digest` it is about an agent as the proposal would make it. `replay`: conversations that were recorded were held
    again; then `passed` counts the answers that stayed the same.
    """

    agent: str
    way: Literal["cases", "replay"]
    suite: str
    cases: int
    passed: int
    made_at_ns: int
    nonce: str
    proposal: str = ""
    digest: str = ""
    cost_usd: float | None = None
    summary: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.passed <= self.cases <= MOST_CASES:
            raise ValueError(f"'passed' is between 0 and 'cases', which is at most {MOST_CASES}")
        if bool(self.proposal) != bool(self.digest):
            raise ValueError("a proposal is named with its digest")
        if len(self.summary) > _MAX_SUMMARY:
            raise ValueError(f"'summary' has at most {_MAX_SUMMARY} characters")


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """The approval service's answer to a proposer. `problem` is set when it was not accepted for review."""

    proposal: str
    digest: str
    problem: str = ""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What a proposer is told of a proposal: its state as in the state machine, and why.

    `is_final`: nothing will change any more. Times are nanoseconds since the Unix epoch. `until_ns`: a call that is
    allowed may be begun until then.
    """

    proposal: str
    digest: str
    agent: str
    kind: Kind
    proposer: str
    state: str
    is_final: bool
    approvals: int
    quorum: int
    proposed_at_ns: int
    expires_at_ns: int
    rationale: str
    note: str = ""
    commit: str = ""
    until_ns: int = 0


class Vote(msgspec.Struct, frozen=True, kw_only=True):
    """A reviewer's word, as typed: `digest` is required to approve and checked wherever given."""

    verb: VotingVerb
    proposal: str
    digest: str
    reason: str


class OutcomeRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the applier did: `verdict_sequence` is the DECISIONS sequence it acted upon.

    `checked` decides nothing: the proposal's own tests passed in the sandbox, and `reason` says what ran where.
    `expired`: nobody decided in time. `overturned`: what broken glass had done was undone.
    """

    proposal: str
    digest: str
    result: Result
    reason: str
    verdict_sequence: int
    commit: str = ""


class RulesRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rules that are in force from here on: policy and fleet file at `commit`, with their SHA-256.

    `proposal` is what was approved to bring them; empty where an operator put them there by hand.
    """

    commit: str
    policy: str
    fleet: str
    proposal: str = ""


MOST_CASES: Final = 100_000
_MAX_SUMMARY = 500
_PROPOSAL = msgspec.json.Decoder(Proposal)
_ID = re.compile(r"p-[a-z2-7]{8}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_MAX_REASON = 500


def decode_proposal(data: bytes) -> tuple[Proposal, str]:
    """Read a proposal; returns it with its digest.

    Raises:
        InvalidDocument: the bytes are not a proposal, or have a field that this version does not know.
    """
    try:
        return _PROPOSAL.decode(data), sha256_hex(data)
    except UNREADABLE as error:
        raise InvalidDocument(f"not a proposal: {error}") from None


def parse_vote(verb: VotingVerb, body: bytes) -> Vote:
    """Read what a reviewer typed: `<proposal> [<digest>] [reason]`.

    Raises:
        InvalidDocument: with the form that is expected.
    """
    words = body.decode("utf-8", "replace").strip().split(maxsplit=2)
    if not words or not _ID.fullmatch(words[0]):
        raise InvalidDocument(f"type: approvals.{verb} '<proposal> <digest> <reason>', for example p-7q2fabcd")
    digest = words[1] if len(words) > 1 and _DIGEST.fullmatch(words[1]) else ""
    if verb == "approve" and not digest:
        raise InvalidDocument(f"approving needs the full digest; approvals.show {words[0]} prints the command")
    reason = " ".join(words[2:] if digest else words[1:])[:_MAX_REASON]
    return Vote(verb=verb, proposal=words[0], digest=digest, reason=reason)


def parse_withdrawal(body: bytes) -> tuple[str, str]:
    """Read what a proposer sends to take a proposal back, `<proposal> [reason]`: the proposal, and the reason.

    Raises:
        InvalidDocument: with the form that is expected.
    """
    words = body.decode("utf-8", "replace").strip().split(maxsplit=1)
    if not words or not _ID.fullmatch(words[0]):
        raise InvalidDocument("send '<proposal> <reason>', for example p-7q2fabcd 'no longer needed'")
    return words[0], " ".join(words[1:])[:_MAX_REASON]


def require_proposal_id(text: str) -> str:
    """Return `text` when it is the id of a proposal.

    Raises:
        InvalidDocument: it is not.
    """
    if not _ID.fullmatch(text):
        raise InvalidDocument(f"{text[:40]!r} is no id of a proposal; one looks like p-7q2fabcd")
    return text


def name_of(digest: str) -> str:
    """The short id a reviewer types for the proposal with this digest."""
    return proposal_id(digest)
