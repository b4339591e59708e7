"""What provisioning puts in force under systemd: by the record and its own repository alone."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from agents.home import EXAMPLE
from approvals.applying.grant import NotGranted, granted, wanted_tree
from approvals.applying.provisioned import Provisioned, note_by_hand
from approvals.change.edits import Edit
from approvals.change.propose import build_fleet_proposal, files_in_force
from approvals.git import BRANCH, Git, add_folder, new_repository
from approvals.verdict.fold import Recorded
from bus.errors import NotProvisioned
from bus.provision.user_keys import load_user_keys, write_user_keys
from bus.surroundings import Home
from schemas import names
from schemas.approvals import decode_proposal, name_of
from schemas.errors import InvalidDocument

S = 1_000_000_000
HOUR = 3600 * S
MORE = Edit("fleet.yaml", "asks: [greeter, textstats]", "asks: [greeter, directory]")


@dataclass
class Record:
    """A fleet that was provisioned at 0, and an operator's proposal at hour 1; `vote` adds to what the server has stored."""

    home: Home
    found: list[tuple[str, Recorded]]
    data: bytes

    @property
    def book(self) -> Provisioned:
        """What is in force."""
        return Provisioned.of(self.home)

    @property
    def wanted(self) -> str:
        """The tree that the proposal leads to."""
        return decode_proposal(self.data)[0].tree

    def vote(self, reviewer: str, verb: str = "approve", at_ns: int = HOUR + S) -> None:
        """What a reviewer typed."""
        digest = decode_proposal(self.data)[1]
        sequence = sum(stream == names.DECISIONS for stream, _ in self.found) + 1
        body = f"{name_of(digest)} {digest} fine".encode()
        self.found.append(
            (names.DECISIONS, Recorded(f"approvals.review.{reviewer}.{verb}", body, sequence, at_ns + sequence))
        )

    def grant(self, now_ns: int = HOUR + 60 * S, wanted: str = "") -> str:
        """The id of the case that grants the wish."""
        case = granted(self.book, self.found, wanted or self.wanted, now_ns)
        return case.id if case else ""


@pytest.fixture
def record(tmp_path: Path) -> Record:
    """The example fleet, whose policy wants two people for a change of authority."""
    home = Home(tmp_path)
    git = new_repository(home.repository)
    git.run("update-ref", BRANCH, git.commit(add_folder(git, EXAMPLE), "import", "test"))
    note_by_hand(home, 0)
    with files_in_force(git, "") as folder:
        data = build_fleet_proposal(folder, [MORE], rationale="more", now_ns=HOUR)
    return Record(home, [(names.PROPOSALS, Recorded("approvals.propose.ops", data, 1, HOUR))], data)


def test_what_enough_people_approved_is_granted(record: Record) -> None:
    """Two of two; what is in force already needs nobody; and afterwards the way back is not granted."""
    assert granted(record.book, [], record.book.tree, 0) is None
    record.vote("reviewer")
    with pytest.raises(NotGranted, match="nobody approved to change the fleet from tree"):
        record.grant()
    record.vote("second")
    case = granted(record.book, record.found, record.wanted, HOUR + 60 * S)
    assert case is not None
    before, book = record.book.tree, record.book
    with book.git.indexed() as index:
        index.apply(case.proposal.base, case.proposal.diff)
    book.put(record.wanted, f"in force by {case.id}", HOUR + 3 * S)
    assert (record.book.tree, record.book.decided_ns) == (record.wanted, HOUR + 3 * S)
    assert record.book.rules.fleet.agents["concierge"].asks == ("greeter", "directory")
    with pytest.raises(NotGranted, match="nobody approved"):
        record.grant(wanted=before)


def test_a_veto_a_stranger_and_another_tree_are_no_reason(record: Record) -> None:
    """What the fold does not count does not count here, and nothing but the proposed tree is granted."""
    record.vote("reviewer")
    record.vote("greeter")
    record.vote("ops")
    with pytest.raises(NotGranted, match="nobody approved"):
        record.grant()
    record.vote("reviewer", "reject")
    record.vote("second")
    with pytest.raises(NotGranted, match="nobody approved"):
        record.grant()
    with pytest.raises(NotGranted, match="nobody approved"):
        record.grant(wanted="0" * 40)


def test_an_approval_is_for_now_and_for_once(record: Record) -> None:
    """Too late, or decided before what is in force: not granted, also when the trees are the same again."""
    record.vote("reviewer")
    record.vote("second")
    assert record.grant()
    with pytest.raises(NotGranted, match="more than 4 hours ago"):
        record.grant(now_ns=6 * HOUR)
    record.book.put(record.book.tree, "again", 2 * HOUR)
    with pytest.raises(NotGranted, match="approved before what is in force now"):
        record.grant(now_ns=2 * HOUR + S)


def test_what_the_fleets_repository_says_is_no_reason(record: Record) -> None:
    """Another policy on the branch, which the applier can write, makes one vote no more than it is; root takes it over."""
    git = Git(record.home.repository)
    with files_in_force(git, "") as folder:
        (folder / "policy.yaml").write_text((folder / "policy.yaml").read_text() + "# other\n")
        git.run("update-ref", BRANCH, git.commit(add_folder(git, folder), "by hand", "test"))
    record.vote("reviewer")
    with pytest.raises(NotGranted, match="nobody approved"):
        record.grant()
    before = record.book.tree
    note_by_hand(record.home, 2 * HOUR)
    assert record.book.tree not in {before, record.wanted}
    assert record.book.decided_ns == 2 * HOUR


def test_the_wish_is_a_plain_file_with_the_id_of_a_tree(record: Record) -> None:
    """It lies in a folder of another user's: a link, a pipe, a folder, a large or an odd file is refused, and not shown."""
    path = record.home.wanted_fleet
    path.parent.mkdir()
    tree = "ab" * 20
    path.write_text(tree + "\n")
    assert wanted_tree(record.home) == tree
    for odd in (b"", b"main", tree.encode() * 2, b"x" * 1_000_000, b"\xff" * 40, tree.upper().encode()):
        path.write_bytes(odd)
        with pytest.raises(InvalidDocument, match="is not a file with the id of a tree"):
            wanted_tree(record.home)
    path.unlink()
    with pytest.raises(InvalidDocument, match="No such file"):
        wanted_tree(record.home)
    (path.parent / "good").write_text(tree)
    path.symlink_to(path.parent / "good")
    with pytest.raises(InvalidDocument, match="symbolic link"):
        wanted_tree(record.home)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(InvalidDocument, match="is not a file with the id of a tree"):
        wanted_tree(record.home)


def test_without_a_beginning_nothing_is_granted(tmp_path: Path) -> None:
    """Root has not provisioned yet."""
    with pytest.raises(NotProvisioned, match="run: agentbus provision"):
        Provisioned.of(Home(tmp_path))


def test_a_user_without_a_key_is_not_made_up(record: Record) -> None:
    """Keys are root's to make: a fleet with somebody new waits for it, and the answer says so."""
    fleet = record.book.rules.fleet
    path = record.home.user_keys
    with pytest.raises(NotProvisioned, match="cannot be read"):
        load_user_keys(path, fleet)
    key = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4"
    write_user_keys(path, {("greeter", names.BUS_CREDENTIAL): key})
    with pytest.raises(NotProvisioned, match="has no key yet"):
        load_user_keys(path, fleet)
