"""`agentbus agent validate`: everything that is wrong is said at once, with its line; what may be right is a warning."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agents.cli.agent.findings import findings
from agents.cli.agent.validate import validate
from agents.home import EXAMPLE
from schemas.errors import InvalidDocument
from tests.harness.trees import AGENT_FILE, HANDLER

MODEL = """\
agent:
  id: helper
  description: Helps.
llm:
  prompt_file: prompt.md
  pool:
    - provider: openai
      model: m
      api_key: env:NO_SUCH_API_KEY
      when_key_is_missing: skip
    - provider: offline
"""


def said(folder: Path, files: dict[str, str], **environment: str) -> list[str]:
    """The problems of a folder with these files, as they are printed; the folder's own name is left out."""
    for name, text in files.items():
        (folder / name).write_text(text)
    found = findings(folder, environment)
    marks = {"error": "", "warning": "warning: "}
    return [f"{marks[problem.level]}{problem}".replace(f"{folder}/", "") for problem in found.problems]


def test_all_is_said_at_once(tmp_path: Path) -> None:
    """Where the schema has something to say, the checks of what the file refers to do so too."""
    bad = MODEL.replace("helper", "Helper").replace("description", "descripton") + "handler: nothing.py:x\n"
    problems = said(tmp_path, {"agent.yaml": bad})
    keys = [problem.removeprefix("warning: ").split(": ")[1] for problem in problems]
    assert keys == [
        "agent.description", "agent.id", "agent.descripton", "llm.prompt_file", "llm.pool.0.api_key", "handler",
    ]  # fmt: skip
    assert "agent.yaml:2: agent.id: " in problems[1]


def test_a_sound_agent_is_told(tmp_path: Path) -> None:
    """What it is and with what it answers."""
    assert said(tmp_path, {"agent.yaml": AGENT_FILE, "handler.py": HANDLER}) == []
    assert findings(tmp_path, {}).told == "agent probe 1.0.0, answers with skills echo"


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("when_key_is_missing: skip", "when_key_is_missing: fail",
         "NO_SUCH_API_KEY is not set in the environment of this process; the agent does not start without it"),
        ("provider: offline", "provider: ollama\n      model: ${MODEL}",
         "agent.yaml:12: llm.pool.1.model: MODEL has no default; a fleet needs one"),
    ],
)  # fmt: skip
def test_what_may_be_right_elsewhere_is_a_warning(tmp_path: Path, old: str, new: str, problem: str) -> None:
    """A key that is not set here may be where the agent runs; with --strict it is an error all the same."""
    problems = said(tmp_path, {"agent.yaml": MODEL.replace(old, new), "prompt.md": "p"}, MODEL="m")
    assert any(problem in each and each.startswith("warning: ") for each in problems)
    found = findings(tmp_path, {"MODEL": "m"})
    assert found.is_valid
    assert not found.strictly().is_valid


def test_a_key_that_is_there_is_no_problem_and_one_that_others_read_is(tmp_path: Path) -> None:
    """No value is ever shown."""
    files = {"agent.yaml": MODEL, "prompt.md": "p"}
    assert said(tmp_path, files, NO_SUCH_API_KEY="s3cret-1") == []
    (problem,) = said(tmp_path, files, NO_SUCH_API_KEY="two words s3cret")
    assert "not one line of printable characters" in problem
    assert "s3cret" not in problem
    key = tmp_path / "key"
    key.write_text("s3cret")
    key.chmod(0o644)
    (problem,) = said(tmp_path, {"agent.yaml": MODEL.replace("env:NO_SUCH_API_KEY", f"file:{key}")})
    assert "can be read by others" in problem


@pytest.mark.parametrize(
    ("file", "handler", "problem"),
    [
        (AGENT_FILE, "", "agent.yaml:2: handler: handler file handler.py does not exist"),
        (AGENT_FILE, "import no_such\n", "handler.py:1: cannot be imported: ModuleNotFoundError"),
        (AGENT_FILE, HANDLER.replace("def echo", "def ecco"), "did you mean 'ecco'?"),
        (AGENT_FILE.replace("version: 1.0.0", "skills: [{id: ecco, name: n, description: d}]"), HANDLER,
         "agent.yaml:1: agent.skills.0.id: the handler has no skill 'ecco'; did you mean 'echo'?"),
        (f"{AGENT_FILE}canary: {{text: hi, skill: greet}}\n", HANDLER,
         "agent.yaml:3: canary.skill: the agent has no skill 'greet'; there are: echo"),
        (f"{AGENT_FILE}tools: [propose_change]\n", HANDLER, "warning: agent.yaml:3: tools: tools are for a model"),
    ],
)  # fmt: skip
def test_what_the_handler_is_and_what_the_file_says_of_it_fit(
    tmp_path: Path, file: str, handler: str, problem: str
) -> None:
    """A skill that only the file knows would stand in the card, and nobody would answer it."""
    files = {"agent.yaml": file} | ({"handler.py": handler} if handler else {})
    (found,) = said(tmp_path, files)
    assert problem in found


OFFLINE = "agent: {id: helper, description: Helps.}\nllm: {system_prompt: p, pool: [{provider: offline}]}\n"


@pytest.mark.parametrize(
    ("file", "problems"),
    [
        (f"{OFFLINE}tools: [reed, web_serch]\n",
         ["agent.yaml:3: tools: there is no tool 'reed'; did you mean 'read'?", "agent.yaml:3: tools: there is no tool 'web_serch'"]),
        (f"{OFFLINE}tools:\n  reed: {{}}\n  read: {{approval: maybe}}\n",
         ["agent.yaml:4: tools.reed: there is no tool", "agent.yaml:5: tools.read.approval: Input should be 'never'"]),
        (f"{OFFLINE}mcp:\n  a__b: {{command: x}}\n  c: {{comand: x}}\n",
         ["agent.yaml:4: mcp.a__b: 'a__b' is no name of a server", "agent.yaml:5: mcp.c.comand: unknown key"]),
        (f"{OFFLINE}tools: ['tools.py:a', 'tools.py:b']\n",
         ["agent.yaml:3: tools.tools.py:a: there is no tools.py", "agent.yaml:3: tools.tools.py:b: there is no tools.py"]),
        (f"{OFFLINE}tools: [web_search]\n", ["agent.yaml:3: tools: web_search needs a setting"]),
        (f"{OFFLINE}tools: {{web_search: {{results: 5}}}}\n", ["agent.yaml:3: tools.web_search: serper.dev takes a key"]),
        (OFFLINE.replace("offline", "openai, model: m"), ["agent.yaml:2: llm.pool.0: provider openai: it needs a key"]),
        (OFFLINE.replace("offline", "compatible, model: m, base_url: 'http://me:pw@h/v1'"),
         ["agent.yaml:2: llm.pool.0.base_url: no secrets in an address"]),
        (OFFLINE.replace("offline", "ollama, model: m, base_url: 'localhost:11434'"),
         ["agent.yaml:2: llm.pool.0.base_url: write https://"]),
        (OFFLINE.replace("offline", "compatible, model: m, api_key: 'env:K', base_url: 'http://gpu.lan/v1'"),
         ["warning: agent.yaml:2: llm.pool.0.api_key", "warning: agent.yaml:2: llm.pool.0.base_url: http:// beyond this machine"]),
        (OFFLINE.replace("offline", "compatible, model: m, base_url: 'http://localhost:8000/v1'"), []),
        ("root:x:0\n", ["agent.yaml:1: Input should be a section: keys with values"]),
        ("- agent\n", ["agent.yaml:1: Input should be a section: keys with values"]),
        ("agent: [a]\nhandler: x.py:y\n", ["agent.yaml:1: agent: Input should be a section", "agent.yaml:2: handler: there is no x.py"]),
    ],
)  # fmt: skip
def test_a_wrong_name_hides_nothing_else(tmp_path: Path, file: str, problems: list[str]) -> None:
    """Each problem is told once, beside every other one, in words of the file and not of Python."""
    found = said(tmp_path, {"agent.yaml": file})
    assert [each.startswith(wanted) for each, wanted in zip(found, problems, strict=True)] == [True] * len(problems), (
        found
    )


def test_in_a_fleet_the_folder_has_the_agents_name(tmp_path: Path) -> None:
    """The fleet file names the folder."""
    folder = tmp_path / "agents" / "other"
    folder.mkdir(parents=True)
    (problem,) = said(folder, {"agent.yaml": AGENT_FILE, "handler.py": HANDLER})
    assert problem == "agent.yaml:1: agent.id: the folder is called other; a fleet looks for probe there"


def test_exit_codes_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """0 all can be used, 1 something is wrong, 2 something cannot be read; JSON has the same in parts."""
    (tmp_path / "agent.yaml").write_text("agent: {id: a}\nhandler: handler.py:x\n")
    missing = tmp_path / "none"
    for paths, code in (([EXAMPLE], 0), ([EXAMPLE, tmp_path], 1), ([tmp_path, missing], 2)):
        with pytest.raises(SystemExit) as ended:
            validate(paths, is_strict=False, as_json=True)
        assert ended.value.code == code
        found = json.loads(capsys.readouterr().out)
        assert found["valid"] is (code == 0)
        assert bool(found["unreadable"]) is (code == 2)
    problem = found["files"][0]["problems"][0]
    assert (problem["line"], problem["key"], problem["level"]) == (1, "agent.description", "error")
    with pytest.raises(SystemExit) as ended:
        validate([EXAMPLE], is_strict=False, as_json=False)
    printed = capsys.readouterr()
    assert "fleet.yaml: fleet file\n" in printed.out
    assert "greeter/agent.yaml: agent greeter 1.0.0, answers with a model\n" in printed.out


def test_both_files_and_other_texts_are_problems(tmp_path: Path) -> None:
    """What can be said of a folder is said; only what cannot be read at all is refused."""
    for name in ("agent.yaml", "agent.toml"):
        (tmp_path / name).write_text("x: 1\n")
    assert "keep one" in str(findings(tmp_path, {}).problems[0])
    (tmp_path / "agent.toml").unlink()
    (tmp_path / "agent.yaml").write_bytes(b"\xff\xfe\xff")
    assert "not UTF-8" in str(findings(tmp_path, {}).problems[0])
    (tmp_path / "agent.yaml").unlink()
    with pytest.raises(InvalidDocument, match="cannot read"):
        findings(tmp_path, {})


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ("tools: {read: {arguments: {paht: {allow: [x]}}}}\n", "agent.yaml:12: tools.read: "),
        ("tools: [recall]\n", "agent.yaml:12: tools.recall: recall needs the section memory"),
        ("tools: [note]\n", ""),
        (
            "budget: {max_cost_per_task_usd: 1}\n",
            "warning: agent.yaml:8: llm.pool.0.model: its price is not known here",
        ),
        ("budget: {max_cost_per_task_usd: 1, unknown_price: allow}\n", ""),
    ],
)
def test_what_a_model_may_use_can_be_used(tmp_path: Path, more: str, problem: str) -> None:
    """Tools are made as at the start of the agent; a model that a limit of cost rules out is named."""
    problems = said(tmp_path, {"agent.yaml": MODEL + more, "prompt.md": "p"}, NO_SUCH_API_KEY="k")
    assert [each for each in problems if not problem or problem not in each] == []
    assert bool(problems) is bool(problem)


def test_sampling_that_a_provider_does_not_take_is_refused(tmp_path: Path) -> None:
    """Before it is a failed call in the night."""
    bad = MODEL.replace("- provider: openai", "- provider: anthropic\n      temperature: 0.5")
    (problem,) = said(tmp_path, {"agent.yaml": bad, "prompt.md": "p"}, NO_SUCH_API_KEY="k")
    assert "agent.yaml:7: llm.pool.0: provider anthropic: its API has no temperature" in problem


def test_a_router_is_told_as_one(tmp_path: Path) -> None:
    """It answers nothing itself."""
    file = "agent: {id: r, description: d}\nrouting: {strategy: capability}\n"
    assert said(tmp_path, {"agent.yaml": file}) == []
    assert findings(tmp_path, {}).told == "agent r 1.0.0, passes messages on (capability)"
