"""Proofs with a change in each of their fields, character by character: none may prove anything, each says why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from bus.audit.read import Reader
from bus.audit.seal.policy_file import load_policy
from bus.audit.seal.prove import check_proof, prove_message, read_log
from bus.audit.tlog.errors import NotVerified
from bus.audit.tlog.policy import Policy
from bus.audit.tlog.proofs import consistency_proof, verify_consistency
from schemas import names
from tests.harness.fleet import Bench
from tests.tamper.rows import Row

_PROVEN = 5
_OLD, _NEW = 30, 34


class _Field(NamedTuple):
    """One field of a proof: its changed forms, and the words with which each must be refused."""

    name: str
    changed: Iterable[Callable[[], object]]
    words: tuple[str, ...]


async def proof_rows(live: Bench) -> list[Row]:
    """Of the sealed trail."""
    reader = Reader(await live.connect("auditor", names.OWN_CREDENTIAL, inbox_prefix=names.inbox_prefix("auditor")))
    policy = load_policy(live.home.seal_policy)
    log = await read_log(reader, policy, _PROVEN)
    data = bytes(prove_message(log, policy, _PROVEN))
    assert check_proof(data, policy)[0].sequence == _PROVEN
    old, new = (log.checkpoints[size][0].root for size in (_OLD, _NEW))
    path = consistency_proof(log.nodes, _OLD, _NEW)
    verify_consistency(_OLD, _NEW, path, old, new)
    return [_row(field) for field in (*_inclusion(data, policy), *_consistency(path, old, new))]


def _row(field: _Field) -> Row:
    total = refused = explained = 0
    missed = ""
    for check in field.changed:
        total += 1
        try:
            check()
        except NotVerified as error:
            refused += 1
            is_explained = any(word in str(error) for word in field.words)
            explained += is_explained
            missed = missed if is_explained else str(error)
        else:
            missed = "a changed proof was accepted"
    return Row(field.name, 0 < total == refused, 0 < total == explained, f"refused {refused} of {total}", missed)


def _inclusion(data: bytes, policy: Policy) -> Iterator[_Field]:
    lines = data.decode().split("\n")
    blank = lines.index("")
    extra, index, origin = 1, 2, blank + 1
    signatures = [place for place, line in enumerate(lines) if line.startswith("— ")]
    told = (
        "is not one",
        "not a proof file",
        "not a signed note",
        "cannot name a key",
        "a signature line",
        "bytes instead of",
    )

    def field(name: str, places: Iterable[int], *words: str) -> _Field:
        return _Field(name, [_checked(one, policy) for place in places for one in _respelled(lines, place)], words)

    yield field("a proof: another first line", [0], "not a proof file")
    yield field(
        "a proof: another message", [extra], "extra", "does not name the index", "the data of a leaf", "does not lead",
        "the message says",
    )  # fmt: skip
    yield field("a proof: another index", [index], "does not name the index", "the message says", "does not lead")
    yield field("a proof: another hash", range(index + 1, blank), "the base64 of a hash", "does not lead")
    yield _Field(
        "a proof: hashes left out, doubled, in another order",
        [_checked(one, policy) for one in _rearranged(lines, index + 1, blank)],
        ("too short", "too long", "does not lead"),
    )
    yield field("a proof: another log", [origin], "does not know", "three lines", "control", *told)
    yield field("a proof: another size", [origin + 1], "is not over this text", "plain number")
    yield field("a proof: another root", [origin + 2], "is not over this text", "the base64 of a hash")
    log, *witnesses = signatures
    yield field("a proof: another signature of the log", [log], "is not signed by", "is not over", *told)
    yield field("a proof: another cosignature", witnesses, "not what quorum", "is not over", "cannot be", *told)
    yield _Field(
        "a proof: a signature left out",
        [_checked([*lines[:place], *lines[place + 1 :]], policy) for place in signatures],
        ("is not signed by", "not what quorum"),
    )


def _consistency(path: list[bytes], old: bytes, new: bytes) -> Iterator[_Field]:
    """The sizes are no field of it: they are those of two checkpoints, each signed with its root."""

    def checked(proof: list[bytes], sizes: tuple[int, int], roots: tuple[bytes, bytes]) -> Callable[[], None]:
        return lambda: verify_consistency(*sizes, proof, *roots)

    sizes, roots = (_OLD, _NEW), (old, new)
    others = [[*path[:at], _flipped(path[at], bit), *path[at + 1 :]] for at in range(len(path)) for bit in range(256)]
    shorter = [[*path[:at], *path[at + 1 :]] for at in range(len(path))]
    longer = [[*path[:at], one, *path[at:]] for at in range(len(path) + 1) for one in path]
    no = ("does not lead", "too short", "too long")
    yield _Field("a consistency proof: another hash", [checked(one, sizes, roots) for one in others], no)
    yield _Field(
        "a consistency proof: hashes left out, doubled", [checked(one, sizes, roots) for one in (*shorter, *longer)], no
    )
    yield _Field("a consistency proof: other roots", [
        checked(path, sizes, pair) for bit in range(256)
        for pair in ((_flipped(old, bit), new), (old, _flipped(new, bit)))
    ], no)  # fmt: skip


def _respelled(lines: list[str], place: int) -> Iterator[list[str]]:
    """The file with each character of a line in turn replaced, and with the line cut and grown by one."""
    line = lines[place]
    others = [f"{line[:at]}{'A' if one != 'A' else 'B'}{line[at + 1 :]}" for at, one in enumerate(line)]
    for other in (*others, line[:-1], line + "A"):
        yield [*lines[:place], other, *lines[place + 1 :]]


def _rearranged(lines: list[str], first: int, end: int) -> Iterator[list[str]]:
    hashes = lines[first:end]
    ways = [[*hashes[:at], *hashes[at + 1 :]] for at in range(len(hashes))]
    ways += [[*hashes[:at], hashes[at], *hashes[at:]] for at in range(len(hashes))]
    ways += [[*hashes[:at], hashes[at + 1], hashes[at], *hashes[at + 2 :]] for at in range(len(hashes) - 1)]
    for way in ways:
        yield [*lines[:first], *way, *lines[end:]]


def _checked(lines: list[str], policy: Policy) -> Callable[[], object]:
    return lambda: check_proof("\n".join(lines).encode(), policy)


def _flipped(one: bytes, bit: int) -> bytes:
    changed = bytearray(one)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)
