"""An agent's folder: its one file, its prompt, its handler; what is wrong is named with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.runtime.loading.agent_folder import file_in, own_files, read_folder
from agents.runtime.loading.load import load_agent
from approvals.git import tree_of_folder
from schemas.agent.reading import NOWHERE
from schemas.errors import InvalidDocument
from tests.harness.trees import AGENT_FILE, HANDLER

TOML = 'handler = "handler.py:echo"\n[agent]\nid = "probe"\ndescription = "Tries things."\n'
MODEL = "agent: {id: probe, description: d}\nllm:\n  prompt_file: prompt.md\n  pool: [{provider: offline}]\n"


def folder(path: Path, files: dict[str, str]) -> Path:
    """A folder with these files."""
    for name, text in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text)
    return path


@pytest.mark.parametrize(("name", "text"), [("agent.yaml", AGENT_FILE), ("agent.toml", TOML)])
def test_yaml_and_toml_are_the_same_agent(tmp_path: Path, name: str, text: str) -> None:
    """The folder is enough; so is the name that the other one would have, as it stands in a unit's command."""
    folder(tmp_path, {name: text, "handler.py": HANDLER})
    for path in (tmp_path, tmp_path / name, tmp_path / "agent.yaml"):
        loaded = load_agent(path, NOWHERE)
        assert (loaded.id, loaded.path.name) == ("probe", name)
        assert [skill.id for skill in loaded.skills] == ["echo"]


def test_both_files_are_one_too_many(tmp_path: Path) -> None:
    """Which of the two counts is nobody's guess."""
    folder(tmp_path, {"agent.yaml": AGENT_FILE, "agent.toml": TOML})
    with pytest.raises(InvalidDocument, match=r"holds both agent\.yaml and agent\.toml; keep one"):
        file_in(tmp_path / "agent.yaml")


def test_no_file_is_named(tmp_path: Path) -> None:
    """The one that nearly all have is the one that is missed."""
    with pytest.raises(InvalidDocument, match=r"cannot read .*agent\.yaml: No such file"):
        load_agent(tmp_path)


def test_a_prompt_may_have_a_file_of_its_own(tmp_path: Path) -> None:
    """Its text is the prompt as it is: variables in it are no variables."""
    folder(tmp_path, {"agent.yaml": MODEL, "prompt.md": "You help.\n${NOT}\n"})
    section = read_folder(tmp_path, NOWHERE).file.llm
    assert section is not None
    assert section.system_prompt == "You help.\n${NOT}\n"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "agent.yaml:3: llm.prompt_file: cannot read prompt.md: No such file"),
        ({"prompt.md": " \n"}, "agent.yaml:3: llm.prompt_file: prompt.md is empty"),
        ({"prompt.md": "x" * 300_000}, "is over 256 KiB"),
    ],
)
def test_a_prompt_that_cannot_be_used_is_named_where_it_is_asked_for(
    tmp_path: Path, files: dict[str, str], said: str
) -> None:
    """The line of agent.yaml, and what is wrong with the other file."""
    folder(tmp_path, {"agent.yaml": MODEL, **files})
    with pytest.raises(InvalidDocument) as refused:
        read_folder(tmp_path, NOWHERE)
    assert said in str(refused.value)


def test_a_prompt_is_no_link_out_of_the_folder(tmp_path: Path) -> None:
    """What reviewers see in the folder is what a model is told."""
    folder(tmp_path, {"a/agent.yaml": MODEL, "other.md": "x"})
    (tmp_path / "a" / "prompt.md").symlink_to(tmp_path / "other.md")
    with pytest.raises(InvalidDocument, match="lies outside of the agent's folder"):
        read_folder(tmp_path / "a", NOWHERE)


@pytest.mark.parametrize("name", ["../prompt.md", "/etc/passwd", "prompt.py", "a//b.md", ".md", "a/../b.md"])
def test_a_prompts_name_is_plain(tmp_path: Path, name: str) -> None:
    """It ends so that a change of it is reviewed as one of the prompt."""
    folder(tmp_path, {"agent.yaml": MODEL.replace("prompt.md", name)})
    with pytest.raises(InvalidDocument, match=r"agent\.yaml:3: llm\.prompt_file: String should match"):
        read_folder(tmp_path, NOWHERE)


@pytest.mark.parametrize(
    ("handler", "said"),
    [
        ("import nothing_like_this\n", "handler.py:1: cannot be imported: ModuleNotFoundError: No module named"),
        ("x = 1\nx.y\n", "handler.py:2: cannot be imported: AttributeError"),
        ("x = 1\ndef f(:\n", "handler.py:2: cannot be imported: SyntaxError"),
        ("\n\nraise RuntimeError('no\\nway')\n", "handler.py:3: cannot be imported: RuntimeError: no way"),
        (HANDLER.replace("request: str", "request: int"), "handler.py:4: skill echo: its request parameter must be"),
        (HANDLER.replace("def echo", "def ecco"), "echo is not a function decorated with @skill"),
        (HANDLER.replace("def echo", "def ecco"), "did you mean 'ecco'?"),
    ],
)
def test_a_handlers_mistake_is_named_with_its_line(tmp_path: Path, handler: str, said: str) -> None:
    """Whatever a module may raise while it is imported is one sentence."""
    folder(tmp_path, {"agent.yaml": AGENT_FILE, "handler.py": handler})
    with pytest.raises(InvalidDocument) as refused:
        load_agent(tmp_path)
    assert said in str(refused.value)


def test_a_volume_of_kubernetes_is_the_folder_that_was_reviewed(tmp_path: Path) -> None:
    """It has links beside each file, by which its files are exchanged at once; what the agent runs has the same name."""
    (tmp_path / "reviewed").mkdir()
    (tmp_path / "reviewed" / "agent.yaml").write_text("agent")
    volume = tmp_path / "volume"
    (volume / "..2026").mkdir(parents=True)
    (volume / "..2026" / "agent.yaml").write_text("agent")
    (volume / "..data").symlink_to("..2026")
    (volume / "agent.yaml").symlink_to("..data/agent.yaml")
    assert tree_of_folder(own_files(volume)) == tree_of_folder(own_files(tmp_path / "reviewed"))
