"""Building a proposal: the honest way from edits of a folder to bytes that pass the examination."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from agents.home import EXAMPLE
from approvals.errors import CannotPropose
from approvals.examine import examine
from approvals.git import tree_of_folder
from approvals.propose import MAX_RATIONALE, Edit, build_proposal
from schemas.approvals import Proposal, decode_proposal
from schemas.ids import sha256_hex
from tests.unit.cases import HOUR, MADE_AT
from tests.unit.fleet_repository import AGENT_YAML, FORMAL, Desk

STYLE = Edit("agent.yaml", "Style: friendly", "Style: formal")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The greeter's release: read-only."""
    release = tmp_path / "release"
    shutil.copytree(EXAMPLE / "agents/greeter", release)
    for path in (*release.iterdir(), release):
        path.chmod(0o555 if path.is_dir() else 0o444)
    return release


def built(folder: Path, *edits: Edit, rationale: str = "why") -> Proposal:
    """The proposal of the greeter that these edits make."""
    return decode_proposal(build_proposal("greeter", folder, edits, rationale=rationale, now_ns=MADE_AT))[0]


@pytest.mark.parametrize(
    "edits",
    [
        [STYLE],
        [STYLE, Edit("agent.yaml", "version: 1.0.0", "version: 1.1.0")],
        [Edit("agent.yaml", "", FORMAL.decode())],
        [Edit("notes.md", "", "Grüße\n")],
        [Edit("lib/tool.py", "", "x = 1\n"), Edit("lib/tool.py", "x = 1", "x = 2")],
        [Edit("agent.yaml", "# Answers", "# It answers")],
    ],
)
def test_what_is_built_passes_the_examination(tmp_path: Path, folder: Path, edits: list[Edit]) -> None:
    """The proposer's scratch repository and the fleet's agree on base, tree, diff, files and kind."""
    desk = Desk.at(tmp_path)
    found = built(folder, *edits)
    assert found.base == desk.base
    assert examine(desk.git, "greeter", found).problem == ""


def test_the_folder_is_not_touched(folder: Path) -> None:
    """A release stays what it is."""
    before = tree_of_folder(folder)
    built(folder, STYLE, Edit("new.md", "", "x"))
    assert tree_of_folder(folder) == before
    assert (folder / "agent.yaml").read_bytes() == AGENT_YAML


def test_a_proposal_says_what_it_changes(folder: Path) -> None:
    """Kind, files with hashes, diff and times are in it."""
    found = built(folder, STYLE)
    assert (found.agent, found.kind, found.rationale) == ("greeter", "prompt", "why")
    assert [(file.path, file.mode, file.sha256) for file in found.files] == [
        ("agent.yaml", "100644", sha256_hex(FORMAL))
    ]
    assert "-    Style: friendly\n+    Style: formal\n" in found.diff
    assert (found.made_at_ns, found.expires_at_ns) == (MADE_AT, MADE_AT + 24 * HOUR)


def test_the_same_edits_twice_are_two_proposals(folder: Path) -> None:
    """A rejected change can be proposed again; votes on the first do not count for the second."""
    one, two = (build_proposal("greeter", folder, [STYLE], rationale="why", now_ns=MADE_AT) for _ in range(2))
    assert one != two


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (Edit("agent.yaml", "no such text", "x"), "0 times, not once"),
        (Edit("agent.yaml", "greet", "x"), "times, not once"),
        (Edit("missing.yaml", "x", "y"), "0 times, not once"),
        (Edit("../x", "", "x"), "outside the agent's own folder"),
        (Edit("a/../../x", "", "x"), "outside the agent's own folder"),
        (Edit("/tmp/x", "", "x"), "outside the agent's own folder"),
        (Edit("../release/agent.yaml", "Style: friendly", "x"), "outside the agent's own folder"),
        (Edit("agent.yaml", "Style: friendly", "Style: friendly"), "nothing would change"),
        (Edit("", "", "x"), "is not a file of text"),
        (Edit(".", "", "x"), "is not a file of text"),
        (Edit("agent.yaml/x", "", "x"), "is not a file of text"),
        (Edit("a\0b", "", "x"), "is not a file of text"),
        (Edit("a" * 300, "", "x"), "is not a file of text"),
        (Edit("notes.md", "", "\ud800"), "is not a file of text"),
        (Edit("binary.md", "x", "y"), "is not a file of text"),
    ],
)
def test_an_edit_that_does_not_fit_is_the_proposers_fault(folder: Path, edit: Edit, said: str) -> None:
    """A model that names a wrong path or a text that is not there once gets a sentence, not a crash."""
    folder.chmod(0o755)
    (folder / "binary.md").write_bytes(b"\xff\xfe")
    with pytest.raises(CannotPropose, match=said):
        built(folder, edit)
    assert not Path("/tmp/x").exists()


def test_an_edit_does_not_follow_a_link_out_of_the_folder(tmp_path: Path, folder: Path) -> None:
    """A link in a folder is no way to a file elsewhere."""
    folder.chmod(0o755)
    (tmp_path / "secret").write_text("secret")
    (folder / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(CannotPropose, match="outside"):
        built(folder, Edit("link", "secret", "x"))
    assert (tmp_path / "secret").read_text() == "secret"


def test_line_ends_stay_what_they_are(folder: Path) -> None:
    """An edit changes what it names and nothing else, also in a file with other line ends."""
    folder.chmod(0o755)
    (folder / "notes.md").write_bytes(b"one\r\ntwo\r\n")
    found = built(folder, Edit("notes.md", "two", "three"))
    assert found.files[0].sha256 == sha256_hex(b"one\r\nthree\r\n")


def test_a_rationale_is_bounded(folder: Path) -> None:
    """A reviewer reads a page, not a book."""
    assert len(built(folder, STYLE, rationale="x" * 10_000).rationale) == MAX_RATIONALE
