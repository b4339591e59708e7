"""An author's tool: a typed function, its parameters checked before it runs, its result told to the model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
import pydantic
import pytest

from agents.llm import ToolCall
from agents.testing import Step, calls, trial
from agents.tool import Context, ToolFailed, tool
from agents.tools.authoring import AuthoredTool
from schemas.errors import InvalidDocument

OWN_TOOLS = '''
from agents.tool import Context, ToolFailed, tool

PEOPLE = {"Ghent": 265_000}


@tool(has_effects=False)
async def population(city: str, ctx: Context, rounded: bool = False) -> dict[str, int]:
    """How many people live in a city.

    Not told to the model.
    """
    if city not in PEOPLE:
        raise ToolFailed(f"{ctx.agent} does not know {city}")
    return {"people": round(PEOPLE[city], -5) if rounded else PEOPLE[city]}


def not_a_tool() -> None:
    pass
'''
AGENT = """\
agent: {id: counter, description: Counts people., version: 1.0.0}
llm: {system_prompt: You count people., pool: [{provider: offline}]}
tools: ["tools.py:NAME"]
"""


class Place(msgspec.Struct):
    """Input of a tool."""

    city: str
    zoom: Annotated[int, msgspec.Meta(ge=1, le=20)] = 5


class Shape(pydantic.BaseModel):
    """Input of a tool."""

    sides: int = pydantic.Field(ge=3)


@tool
async def look(place: Place) -> str:
    """Look at a place."""
    return f"{place.city} at {place.zoom}"


@tool(name="draw-it", description="Draw.", approval="always")
async def draw(shape: Shape) -> Shape:
    return shape


def folder_of(path: Path, name: str = "population", code: str = OWN_TOOLS) -> Path:
    """An agent with a tool of its own."""
    (path / "agent.yaml").write_text(AGENT.replace("NAME", name))
    (path / "tools.py").write_text(code)
    return path


async def run(authored: AuthoredTool, **arguments: Any) -> str:
    """What a model is told of a call."""
    row = authored.row(authored.name, "test")
    read = row.tool.arguments(ToolCall(id="1", name=row.name, input=arguments))
    context: Any = None
    return await row.run(read, context)


async def test_a_tool_of_the_agents_folder_is_offered_checked_and_run(tmp_path: Path) -> None:
    """The model sees its first paragraph and its parameters without the context; it is told results and refusals."""
    script: list[Step] = [
        calls("population", city="Ghent") + calls("population", city="Ghent", rounded=True),
        calls("population", city="Atlantis") + calls("population", town="Ghent"),
        "done",
    ]
    async with trial(folder_of(tmp_path), model=script) as agent:
        assert await agent.ask("how many?") == "done"
        assert agent.model is not None
        [spec] = agent.model.questions[0].tools
        told = [(result.is_error, result.text) for result in agent.tool_results]
    assert (spec.name, spec.description) == ("population", "How many people live in a city.")
    properties: Any = spec.input_schema["properties"]
    assert (set(properties), spec.input_schema["required"]) == ({"city", "rounded"}, ["city"])
    assert [is_error for is_error, _ in told] == [False, False, True, True]
    assert '{"people":265000}' in told[0][1]
    assert '{"people":300000}' in told[1][1]
    assert "counter does not know Atlantis" in told[2][1]
    assert "town" in told[3][1]


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("populatoin", OWN_TOOLS, "did you mean 'population'"),
        ("not_a_tool", OWN_TOOLS, "no function decorated with @tool"),
        ("population", "import nothing_of_this_name", "ModuleNotFoundError"),
        ("population", "def (", "SyntaxError"),
    ],
)
async def test_a_tool_that_cannot_be_used_stops_the_agent(tmp_path: Path, name: str, code: str, said: str) -> None:
    """The error names the tool and what would be right."""
    with pytest.raises(InvalidDocument, match=said):
        async with trial(folder_of(tmp_path, name, code), model=["x"]):
            raise AssertionError("it must not start")


async def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """The message says where it was looked for."""
    folder = folder_of(tmp_path)
    (folder / "tools.py").unlink()
    with pytest.raises(InvalidDocument, match=r"there is no tools.py beside agent.yaml"):
        async with trial(folder, model=["x"]):
            raise AssertionError("it must not start")


async def test_one_typed_parameter_stands_for_all_arguments() -> None:
    """A msgspec Struct and a pydantic model are the form themselves; results become text."""
    assert await run(look, city="Ghent") == "Ghent at 5"
    assert await run(draw, sides=4) == '{"sides":4}'
    for authored, wrong in ((look, {"city": "Ghent", "zoom": 21}), (draw, {"sides": 2}), (look, {})):
        with pytest.raises(InvalidDocument):
            await run(authored, **wrong)


async def test_a_tool_is_still_its_function() -> None:
    """An author's test calls it as it is."""
    assert await look(Place("Ghent", 3)) == "Ghent at 3"


def test_effects_and_approval_are_the_safe_way_round() -> None:
    """A tool has effects unless it says that it has none; one that wants approval has it whatever the file says."""
    row = draw.row("draw-it", "test")
    assert (row.name, row.has_effects, row.needs_approval, row.provenance) == ("draw-it", True, True, "untrusted")


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda: None, "must be `async def"),
        ("untyped", "parameter city needs a type"),
        ("silent", "needs a docstring"),
        ("starred", "parameter cities needs a type"),
    ],
)
def test_what_is_no_tool_is_refused_where_it_is_written(function: Any, said: str) -> None:
    """The message says what is missing."""
    with pytest.raises(InvalidDocument, match=said):
        tool(_WRONG.get(function, function) if isinstance(function, str) else function)


async def _untyped(city) -> str:  # type: ignore[no-untyped-def]  # noqa: ANN001  that is what is refused
    """Without a type."""
    return str(city)


async def _silent(city: str) -> str:
    return city


async def _starred(*cities: str) -> str:
    """Takes any number."""
    return " ".join(cities)


_WRONG: dict[str, Any] = {"untyped": _untyped, "silent": _silent, "starred": _starred}


def test_the_names_for_authors() -> None:
    """What a tool raises for the model, and what it gets of its surroundings, come from one place."""
    assert issubclass(ToolFailed, Exception)
    assert Context.__name__ == "Context"
