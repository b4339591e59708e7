"""A proposal is what it says, or it is refused: attacks on real git."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from approvals.change.examine import MAX_FILE_BYTES, MAX_FILES, examine
from approvals.repository import commit_approved
from schemas.approvals import EMPTY_TREE, ChangedFile
from tests.unit.approvals.cases import case
from tests.unit.approvals.fleet_repository import AGENT_YAML, FORMAL, Change, Desk, altered, plain

NEW = "diff --git a/{0} b/{0}\nnew file mode {1}\n--- /dev/null\n+++ b/{0}\n@@ -0,0 +1 @@\n+x\n"
COMMIT = b"1" * 40


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """The example fleet in git."""
    return Desk.at(tmp_path)


def problem(desk: Desk, changes: Mapping[str, Change], **lies: Any) -> str:
    """What is said of a proposal that is honest but for `lies`."""
    return examine(desk.git, altered(desk.propose(changes), **lies)).problem


@pytest.mark.parametrize(
    "changes",
    [
        {"agent.yaml": plain(FORMAL)},
        {"agent.yaml": plain(FORMAL), "notes.md": plain(b"n\n"), "lib/deep/tool.py": plain(b"x = 1\n")},
        {"run.sh": ("100755", b"#!/bin/sh\n")},
        {"agent.yaml": ("100755", AGENT_YAML)},
        {"greetings.md": plain("Grüße, 世界\n".encode())},
        {"empty.md": plain(b"")},
        {"no-newline.md": plain(b"x")},
        {"crlf.md": plain(b"a\r\nb\r\n")},
        {f"n{i}.md": plain(b"x\n") for i in range(MAX_FILES)},
        {"big.md": plain(b"x" * (MAX_FILE_BYTES - 1) + b"\n")},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_plain_change_passes(desk: Desk, changes: Mapping[str, Change]) -> None:
    """Ordinary files that are what the proposal says are accepted, and listed as they are."""
    honest = desk.propose(changes)
    found = examine(desk.git, honest)
    assert found.problem == ""
    assert found.files == honest.files


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"link": ("120000", b"/etc/passwd")}, "has mode 120000"),
        ({"agent.yaml": ("120000", b"/etc/passwd")}, "has mode 120000"),
        ({"vendor": ("160000", COMMIT)}, "has mode 160000"),
        ({".gitattributes": plain(b"* -diff\n")}, "is not allowed"),
        ({".gitmodules": plain(b"x\n")}, "is not allowed"),
        ({"sub/.gitignore": plain(b"x\n")}, "is not allowed"),
        ({".env": plain(b"x\n")}, "is not allowed"),
        ({"a/.hidden/b": plain(b"x\n")}, "is not allowed"),
        ({"a b.md": plain(b"x\n")}, "is not allowed"),
        ({"a\nb.md": plain(b"x\n")}, "is not allowed"),
        ({"\u202egnp.py": plain(b"x\n")}, "is not allowed"),
        ({"a\\b.md": plain(b"x\n")}, "is not allowed"),
        ({"~.md": plain(b"x\n")}, "is not allowed"),
        ({"a" * 101: plain(b"x\n")}, "is not allowed"),
        ({"a/b/c/d/e/f": plain(b"x\n")}, "is not allowed"),
        ({"AGENT.yaml": plain(b"x\n")}, "upper and lower case"),
        ({"a.md": plain(b"x\n"), "A.md": plain(b"x\n")}, "upper and lower case"),
        ({"lib/x.md": plain(b"x\n"), "Lib/y.md": plain(b"x\n")}, "upper and lower case"),
        ({"nul.md": plain(b"a\0b\n")}, "contains NUL bytes"),
        ({"latin.md": plain(b"\xe9\n")}, "the diff gives tree"),
        ({"big.md": plain(b"x" * (MAX_FILE_BYTES + 1))}, "can be reviewed"),
        ({f"n{i}.md": plain(b"x\n") for i in range(MAX_FILES + 1)}, f"changes {MAX_FILES + 1} files"),
        ({"agent.yaml": None}, "agent.yaml would be gone"),
        ({"agent.toml": plain(b"x = 1\n")}, "there would be both agent.yaml and agent.toml; keep one"),
        ({"agent.yaml": None, "agent.toml": plain(b"x = \n")}, "agent.toml:1: not TOML"),
        ({"agent.yaml": plain(AGENT_YAML.replace(b"version:", b"x: ${X}\n  version:"))}, "X has no default"),
        ({"agent.yaml": plain(b"a: [\n")}, "agent.yaml:2: not YAML"),
        ({"agent.yaml": plain(b"a: 2024-13-45\n")}, "agent.yaml: not YAML"),
        ({"agent.yaml": plain(b"[" * 5000 + b"\n")}, "agent.yaml: not YAML"),
        ({"agent.yaml": plain(FORMAL.replace(b"description", b"descripton"))}, "unknown key"),
        ({"agent.yaml": plain(AGENT_YAML.replace(b"id: greeter", b"id: other"))}, "say that the agent is other"),
        ({}, "changes nothing"),
    ],
)  # fmt: skip
def test_what_must_not_be_in_a_folder_is_refused(desk: Desk, changes: Mapping[str, Change], said: str) -> None:
    """Only plain files with plain names, of plain text, few and small enough to be reviewed, of this agent."""
    assert said in problem(desk, changes)


@pytest.mark.parametrize("mode", ["104755", "100666", "100777", "040000", "100600"])
def test_no_diff_sets_another_mode(desk: Desk, mode: str) -> None:
    """A mode that git does not keep is not in the tree that the diff gives, so what is shown would be a lie."""
    honest = desk.propose({"x": plain(b"x\n")})
    lying = altered(honest, diff=honest.diff.replace("new file mode 100644", f"new file mode {mode}"))
    assert examine(desk.git, lying).problem


@pytest.mark.parametrize("mode", ["100664", "100600"])
def test_no_tree_has_another_mode(desk: Desk, mode: str) -> None:
    """A tree written with another mode is not what its diff gives."""
    blob = desk.git.line("hash-object", "-w", "--stdin", stdin=b"x\n")
    entries = desk.git.run("ls-tree", desk.base) + f"{mode} blob {blob}\tx\n".encode()
    tree = desk.git.line("mktree", stdin=entries)
    assert examine(desk.git, desk.describe(tree)).problem


@pytest.mark.parametrize(
    "path",
    ["../x", "a/../../x", "/etc/x", ".git/hooks/post-commit", "a/.git/config", "./x", "a//x", "../other/agent.yaml"],
)
def test_no_diff_leaves_the_folder(desk: Desk, path: str) -> None:
    """A path upwards, an absolute one or one of git's own is refused, whatever tree is claimed."""
    for tree in (desk.base, EMPTY_TREE, desk.tree({"x": plain(b"x\n")})):
        files = (ChangedFile(path=path, mode="100644", sha256="0" * 64),)
        lying = altered(desk.propose({}), diff=NEW.format(path, "100644"), tree=tree, files=files)
        assert examine(desk.git, lying).problem


GOOD: dict[str, Change] = {"agent.yaml": plain(FORMAL)}


def test_the_tree_must_be_what_the_diff_gives(desk: Desk) -> None:
    """Another tree than the diff leads to is refused: what is read and what is applied cannot differ."""
    other = desk.tree({"handler.py": plain(b"evil\n")})
    assert "the diff gives tree" in problem(desk, GOOD, tree=other)
    assert "the diff gives tree" in problem(desk, GOOD, tree="HEAD")


@pytest.mark.parametrize(
    "lie",
    [
        lambda diff: "Only the style changes.\n\n" + diff,
        lambda diff: diff + "\nThat was all.\n",
        lambda diff: diff.replace("@@\n", "@@ harmless\n", 1).replace("@@ agent", "@@ harmless", 1),
        lambda diff: diff.replace("index ", "similarity index 100%\nindex ", 1),
        lambda diff: diff + NEW.format("x", "100644") + NEW.format("x", "100644").replace("new file", "deleted file"),
    ],
    ids=["before", "after", "heading", "header", "back-and-forth"],
)
def test_the_diff_must_be_gits_own(desk: Desk, lie: Any) -> None:
    """git ignores text around a patch; a reviewer would read it. So only git's own diff of the trees is accepted."""
    honest = desk.propose(GOOD)
    lying = lie(honest.diff)
    assert lying != honest.diff
    assert examine(desk.git, altered(honest, diff=lying)).problem


@pytest.mark.parametrize(
    "files",
    [
        (),
        (ChangedFile(path="agent.yaml", mode="100755", sha256="0" * 64),),
        (ChangedFile(path="notes.md", mode="100644", sha256="0" * 64),),
    ],
)
def test_the_list_of_files_must_be_true(desk: Desk, files: tuple[ChangedFile, ...]) -> None:
    """The policy is asked by that list, so it must be exactly what the diff changes."""
    assert "the list of files" in problem(desk, GOOD, files=files)


def test_the_hash_of_a_file_must_be_true(desk: Desk) -> None:
    """A path with another content's hash is a lie too."""
    (file,) = desk.propose(GOOD).files
    wrong = ChangedFile(path=file.path, mode=file.mode, sha256="0" * 64)
    assert "the list of files" in problem(desk, GOOD, files=(wrong,))


@pytest.mark.parametrize("kind", ["config", "budget", "model", "tool", "code"])
def test_the_kind_must_be_true(desk: Desk, kind: str) -> None:
    """The policy is asked by kind, so another one than git's content shows is refused."""
    assert f"of kind prompt, not {kind}" in problem(desk, GOOD, kind=kind)


def test_the_base_must_be_in_force(desk: Desk) -> None:
    """After another change of the same agent has gone live, a proposal from before it is refused."""
    old = desk.propose(GOOD)
    assert examine(desk.git, old).problem == ""
    moved = desk.tree({"notes.md": plain(b"first\n")})
    commit_approved(desk.git, case(desk.describe(moved)))
    assert desk.base == moved
    assert "the base has moved" in examine(desk.git, old).problem


def test_an_agent_that_is_not_there_proposes_nothing(desk: Desk) -> None:
    """No folder, no base."""
    stranger = altered(desk.propose(GOOD), agent="nobody")
    assert "the base has moved" in examine(desk.git, stranger).problem


@pytest.mark.parametrize("diff", ["nonsense", "diff --git a/x b/x\n", "\0", "-" * 100_000])
def test_a_diff_that_does_not_apply_is_refused(desk: Desk, diff: str) -> None:
    """Whatever git says to a diff, the answer is a sentence."""
    assert problem(desk, GOOD, diff=diff)


def test_examining_leaves_the_repository_as_it_was(desk: Desk) -> None:
    """No object, reference or index of a proposal stays behind, accepted or not."""
    honest, evil = desk.propose(GOOD), desk.propose({"link": ("120000", b"/")})
    fresh = altered(honest, diff=honest.diff.replace("formal", "never seen before"))
    before = {path for path in desk.git.directory.rglob("*") if path.is_file()}
    for each in (honest, evil, fresh):
        examine(desk.git, each)
    assert {path for path in desk.git.directory.rglob("*") if path.is_file()} == before
