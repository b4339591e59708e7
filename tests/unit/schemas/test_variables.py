"""Variables in an agent's file: what they may stand for, and what has to be written out."""

from __future__ import annotations

import pytest

from schemas.agent.reading import NOWHERE, read_agent
from schemas.errors import InvalidDocument

FILE = """\
agent: {id: helper, description: Helps.}
llm:
  system_prompt: |
    Answer in ${LANGUAGE:-English}.
    $${LANGUAGE} stays.
  pool:
    - provider: openai
      model: ${MODEL}
      base_url: http://${HOST:-127.0.0.1}:${PORT:-8000}/v1
      api_key: env:OPENAI_API_KEY
limits:
  burst: ${BURST:-20}
"""


def refusal(text: str, **environment: str) -> list[str]:
    """What is said of the file."""
    with pytest.raises(InvalidDocument) as refused:
        read_agent(text, "agent.yaml", environment)
    return str(refused.value).splitlines()


def test_variables_are_replaced_and_known_afterwards() -> None:
    """The environment counts, then the default; the file says for each value where it came from."""
    read = read_agent(FILE, "agent.yaml", {"MODEL": "small", "PORT": "9000", "BURST": "7"})
    assert read.file.llm is not None
    assert read.file.llm.system_prompt == "Answer in English.\n${LANGUAGE} stays.\n"
    assert read.file.llm.pool[0].model == "small"
    assert read.file.llm.pool[0].base_url == "http://127.0.0.1:9000/v1"
    assert read.file.limits.burst == 7
    assert read.variables == {"LANGUAGE", "MODEL", "HOST", "PORT", "BURST"}
    of_url = read.sources["llm", "pool", 0, "base_url"]
    assert [(source.name, source.is_default) for source in of_url] == [("HOST", True), ("PORT", False)]
    assert read.written.value["llm"]["pool"][0]["model"] == "${MODEL}"


def test_one_without_a_value_is_named_with_its_line() -> None:
    """Neither set nor with a default: the file is refused, and nothing else is said of that value."""
    where = "agent.yaml:8: llm.pool.0.model: MODEL"
    assert refusal(FILE, OTHER="x") == [f"{where} is not set; set it, or write ${{MODEL:-default}}"]
    (of_a_fleet,) = refusal(FILE)
    assert of_a_fleet.startswith(f"{where} has no default, which a fleet needs, since reviewers")


def test_a_value_that_does_not_fit_is_refused_like_any_other() -> None:
    """What comes from the environment has the same bounds; other mistakes are named beside."""
    said = refusal(FILE.replace("description", "descripton"), MODEL="m", BURST="0")
    assert [line.split(": ")[1] for line in said] == ["agent.description", "agent.descripton", "limits.burst"]


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "KEY", "BOT_TOKEN", "CLIENT_SECRET", "DBPASSWORD", "X_KEY_2"])
@pytest.mark.parametrize("default", ["", ":-none"])
def test_a_secret_is_referred_to_and_never_copied(name: str, default: str) -> None:
    """A name that looks secret is refused, whatever its value is, and the value is not repeated."""
    (said,) = refusal(FILE.replace("${MODEL}", f"${{{name}{default}}}"), **{name: "s3cret-value"})
    assert f"looks like a secret; write env:{name}" in said
    assert "s3cret" not in said


def test_a_value_that_has_the_form_of_a_key_is_refused() -> None:
    """Under any name: it would stand in what is shown, sent and logged."""
    (said,) = refusal(FILE, MODEL="ghp_" + "a1B2" * 9)
    assert "MODEL holds a GitHub token" in said
    assert "a1B2" not in said


@pytest.mark.parametrize(
    ("good", "bad", "key"),
    [
        ("id: helper", 'id: "${WHO:-helper}"', "agent.id"),
        ("api_key: env:OPENAI_API_KEY", "api_key: env:${WHICH:-A}", "llm.pool.*.api_key"),
        ("provider: openai", "provider: ${P:-openai}", "llm.pool.*.provider"),
        ("limits:", "tools: ['${TOOL:-propose_change}']\nlimits:", "tools"),
        ("limits:", "handler: ${H:-handler.py:x}\nlimits:", "handler"),
        ("limits:", "mcp: {servers: {a: {command: ['${C:-sh}']}}}\nlimits:", "mcp"),
        ("limits:", "safety: {max_input_characters: '${M:-5}'}\nlimits:", "safety"),
    ],
)
def test_what_reviewers_decide_on_is_written_out(good: str, bad: str, key: str) -> None:
    """What an agent may do is what was approved, in every environment."""
    assert good in FILE
    said = "\n".join(refusal(FILE.replace(good, bad), MODEL="m"))
    assert f"takes no variable: {key} is what reviewers decide on" in said


@pytest.mark.parametrize("wrong", ["${}", "${a.b}", "${", "${A:default}", "${1A}"])
def test_what_begins_like_a_variable_has_to_be_one(wrong: str) -> None:
    """A mistake does not become part of a value."""
    (said,) = refusal(FILE.replace("${MODEL}", f'"{wrong}"'))
    assert "agent.yaml:8: llm.pool.0.model: '${' begins a variable" in said


def test_an_empty_default_and_an_empty_variable_are_values() -> None:
    """Only what is not there at all is missing."""
    text = FILE.replace("${MODEL}", "a${MODEL:-}b")
    for environment, expected in ((NOWHERE, "ab"), ({"MODEL": ""}, "ab"), ({"MODEL": "x"}, "axb")):
        file = read_agent(text, "agent.yaml", environment).file
        assert file.llm is not None
        assert file.llm.pool[0].model == expected


def test_toml_has_variables_too() -> None:
    """The same rules, in the other language."""
    text = 'handler = "handler.py:x"\n[agent]\nid = "a"\ndescription = "${D}"\n'
    assert read_agent(text, "agent.toml", {"D": "d"}).file.agent.description == "d"
    with pytest.raises(InvalidDocument, match=r"agent\.toml:4: agent\.description: D has no default"):
        read_agent(text, "agent.toml", NOWHERE)
