"""A model's skills with JSON Schemas in its file: both sides of each are checked, over a real server and real HTTP."""

from __future__ import annotations

import pytest

from bus.requests.caller import Caller
from schemas import a2a
from schemas.errors import InvalidAgentResponse, InvalidArgument
from tests.harness.agent import saying, sending
from tests.harness.fake_llm import FakeLlm, Say
from tests.harness.model_agent import ModelStage

AGENT = """\
agent:
  id: greeter
  description: Judges texts.
  version: 1.0.0
  skills:
    - id: judge
      name: Judge
      description: Judges a text.
      input: {type: object, required: [text], properties: {text: {type: string, minLength: 1}}}
      output: {type: object, required: [score], properties: {score: {type: integer, maximum: 10}}}
    - {id: talk, name: Talk, description: Talks.}
llm:
  system_prompt: You judge.
  pool: [{provider: openai, model: m, api_key: 'file:KEY', base_url: 'URL'}]
"""


@pytest.fixture
def fake(talk: ModelStage) -> FakeLlm:
    return talk.fake


@pytest.fixture
def calls(talk: ModelStage) -> Caller:
    return talk.ops


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_data_goes_in_and_data_comes_out(fake: FakeLlm, calls: Caller) -> None:
    """The model gets the data as JSON and the form of its answer from the file; the caller gets a data part."""
    fake.script = [Say('```json\n{"score": 7}\n```')]
    response = await calls.send_message("greeter", sending({"text": "good"}))
    assert response.message is not None
    assert [part.data for part in response.message.parts] == [{"score": 7}]
    system, user = fake.requests[0].body["messages"]
    assert (system["role"], user["content"]) == ("system", '{"text":"good"}')
    assert '"maximum":10' in system["content"]


@pytest.mark.parametrize(("data", "path"), [({}, "message.parts[0].data"), ({"text": 5}, "message.parts[0].data.text")])
async def test_what_does_not_match_never_reaches_the_model(
    fake: FakeLlm, calls: Caller, data: dict[str, object], path: str
) -> None:
    """The error names the place in the document, and nothing is paid for."""
    with pytest.raises(InvalidArgument) as caught:
        await calls.send_message("greeter", sending(data))
    assert [violation.field for violation in caught.value.violations] == [path]
    assert fake.requests == []


@pytest.mark.parametrize("said", ["Seven.", '{"score": 11}', '{"score": "7"}', "[]"])
async def test_an_answer_that_does_not_match_is_an_error(fake: FakeLlm, calls: Caller, said: str) -> None:
    """A caller never gets data that the card does not promise."""
    fake.script = [Say(said)]
    with pytest.raises(InvalidAgentResponse, match="judge"):
        await calls.send_message("greeter", sending({"text": "good"}))


async def test_a_skill_without_schemas_takes_and_gives_text(fake: FakeLlm, calls: Caller) -> None:
    """It is told nothing of forms; one that there is not is named with those that there are."""
    fake.script = [Say("Hello.")]
    response = await calls.send_message("greeter", saying("hi", skill="talk"))
    assert response.message is not None
    assert response.message.text() == "Hello."
    assert fake.requests[0].body["messages"][0]["content"] == "You judge."
    with pytest.raises(InvalidArgument, match="judge, talk"):
        await calls.send_message("greeter", saying("hi", skill="sing"))


async def test_the_card_has_the_schemas(calls: Caller) -> None:
    """So that others can check before they send."""
    card = await calls.get_card("greeter")
    skills = {skill.id: skill for skill in card.skills}
    assert (skills["judge"].input_modes, skills["talk"].input_modes) == (("application/json",), ())
    typed = next(e for e in card.capabilities.extensions if e.uri == a2a.TYPED_SKILLS_URI)
    assert typed.params["skills"]["judge"]["output"]["properties"]["score"]["maximum"] == 10
    assert "talk" not in typed.params["skills"]
