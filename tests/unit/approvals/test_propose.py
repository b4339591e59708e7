"""Building a proposal: the honest way from edits of a folder to bytes that pass the examination."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from agents.home import EXAMPLE
from approvals.change.edits import Change, Patch, Removal, WholeFile
from approvals.change.examine import examine
from approvals.change.propose import MAX_RATIONALE, Edit, Origin, build_fleet_proposal, build_proposal, files_in_force
from approvals.errors import CannotPropose
from approvals.git import tree_of_folder
from schemas.approvals import Proposal, decode_proposal
from schemas.ids import sha256_hex
from tests.unit.approvals.cases import HOUR, MADE_AT
from tests.unit.approvals.fleet_repository import AGENT_YAML, FORMAL, Desk

STYLE = Edit("agent.yaml", "Style: friendly", "Style: formal")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The greeter's release: read-only."""
    release = tmp_path / "release"
    shutil.copytree(EXAMPLE / "agents/greeter", release)
    for path in (*release.iterdir(), release):
        path.chmod(0o555 if path.is_dir() else 0o444)
    return release


def built(folder: Path, *edits: Change, rationale: str = "why") -> Proposal:
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
    assert examine(desk.git, found).problem == ""


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
        (Edit("../x", "", "x"), "outside the folder"),
        (Edit("a/../../x", "", "x"), "outside the folder"),
        (Edit("/proc/agentbus-x", "", "x"), "outside the folder"),
        (Edit("../release/agent.yaml", "Style: friendly", "x"), "outside the folder"),
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
    assert not any((outside / "x").exists() for outside in (folder.parent, folder.parents[1]))


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


def test_a_proposal_names_its_task_and_conversation(folder: Path) -> None:
    """Both are in the bytes that are reviewed."""
    data = build_proposal("greeter", folder, [STYLE], rationale="why", now_ns=MADE_AT, origin=Origin("task-1", "c"))
    found = decode_proposal(data)[0]
    assert (found.task, found.correlation) == ("task-1", "c")


LINE = AGENT_YAML.decode().split("\n").index("    Style: friendly") + 1


@pytest.mark.parametrize("where", [("a/", "b/"), ("a/agents/greeter/", "b/agents/greeter/")])
def test_a_patch_is_the_same_change_as_the_edit(folder: Path, where: tuple[str, str]) -> None:
    """Its paths are those of the folder, or those of a checkout of the fleet's repository."""
    context = AGENT_YAML.decode().split("\n")
    body = [f" {context[LINE - 2]}", "-    Style: friendly", "+    Style: formal", f" {context[LINE]}"]
    head = [f"--- {where[0]}agent.yaml", f"+++ {where[1]}agent.yaml", f"@@ -{LINE - 1},3 +{LINE - 1},3 @@"]
    found = built(folder, Patch("\n".join([*head, *body, ""]).encode()))
    assert (found.tree, found.diff) == (built(folder, STYLE).tree, built(folder, STYLE).diff)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"no patch at all\n", "git apply: error: No valid patches in input"),
        (
            b"--- a/agent.yaml\n+++ b/agent.yaml\n@@ -1,1 +1,1 @@\n-nothing like it\n+x\n",
            "git apply: error: patch failed",
        ),
        (b"--- /dev/null\n+++ b/../x\n@@ -0,0 +1 @@\n+x\n", "git apply: error: invalid path '../x'"),
        (b"--- /dev/null\n+++ b/.git/hooks/x\n@@ -0,0 +1 @@\n+x\n", "git apply: error: invalid path '.git/hooks/x'"),
        (
            b"diff --git a/l b/l\nnew file mode 120000\n--- /dev/null\n+++ b/l\n@@ -0,0 +1 @@\n+/etc/passwd\n",
            "l would be no plain file",
        ),
    ],
)
def test_a_patch_that_does_not_fit_is_refused_in_gits_words(folder: Path, text: bytes, said: str) -> None:
    """Whoever proposes reads why, and nothing outside the scratch copy has changed."""
    before = tree_of_folder(folder)
    with pytest.raises(CannotPropose, match=re.escape(said)):
        built(folder, Patch(text))
    assert tree_of_folder(folder) == before


def test_whole_files_and_removals_are_changes_too(tmp_path: Path, folder: Path) -> None:
    """Several of them make one proposal, which passes the examination."""
    desk = Desk.at(tmp_path)
    found = built(folder, WholeFile("lib/data.bin", b"\x00\xff"), WholeFile("notes.md", b"n\n"), STYLE)
    assert [(file.path, file.sha256) for file in found.files] == [
        ("agent.yaml", sha256_hex(FORMAL)), ("lib/data.bin", sha256_hex(b"\x00\xff")), ("notes.md", sha256_hex(b"n\n")),
    ]  # fmt: skip
    gone = built(folder, Removal("agent.yaml"))
    assert [(file.path, file.sha256) for file in gone.files] == [("agent.yaml", "")]
    assert found.base == gone.base == desk.base


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (Removal("missing"), "No such file"),
        (Removal("../release/agent.yaml"), "outside the folder"),
        (Removal(""), "is not a file that can be removed"),
        (WholeFile("../x", b""), "outside the folder"),
        (WholeFile("agent.yaml/x", b""), "is not a file that can be written"),
        (WholeFile("a\0b", b""), "is not a file that can be written"),
    ],
)
def test_what_cannot_be_written_or_removed_is_said(folder: Path, change: Change, said: str) -> None:
    """A path that is wrong is the proposer's to mend."""
    with pytest.raises(CannotPropose, match=said):
        built(folder, change)


def fleet_proposal(desk: Desk, *changes: Change) -> Proposal:
    """The proposal of an operator to change the fleet's own files in force."""
    with files_in_force(desk.git, "") as files:
        return decode_proposal(build_fleet_proposal(files, changes, rationale="why", now_ns=MADE_AT))[0]


def test_a_change_of_the_fleet_is_of_its_own_files(tmp_path: Path) -> None:
    """Its base is the tree in force without the agents; who may do what is `authority` and names the agent."""
    desk = Desk.at(tmp_path)
    found = fleet_proposal(desk, Edit("fleet.yaml", "asks: [greeter, textstats]", "asks: [greeter]"))
    assert (found.scope, found.kind, found.agent) == ("fleet", "authority", "concierge")
    assert found.base == desk.git.tree_of_fleet()
    assert examine(desk.git, found).problem == ""
    rules = fleet_proposal(desk, Edit("policy.yaml", "quorum: 2", "quorum: 3"))
    assert (rules.kind, rules.agent) == ("policy", "")
    assert examine(desk.git, rules).problem == ""
    with pytest.raises(CannotPropose, match="is in an agent's folder"):
        fleet_proposal(desk, WholeFile("agents/greeter/agent.yaml", b"x"))


def test_the_files_in_force_are_those_of_the_branch(tmp_path: Path) -> None:
    """An operator's proposal begins at what the repository says, whatever lies in folders; the copy does not stay."""
    desk = Desk.at(tmp_path)
    with files_in_force(desk.git, "greeter") as files:
        assert tree_of_folder(files) == desk.base
    assert not files.exists()
    with pytest.raises(CannotPropose, match="there is no agent nobody"), files_in_force(desk.git, "nobody"):
        pass
