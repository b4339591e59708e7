"""Every key of a file that people write is documented, and found wherever it may stand."""

from __future__ import annotations

import pytest
from pydantic import Field

from schemas.agent import AgentFile
from schemas.document_keys import keys_of
from schemas.documents import Document
from schemas.fleet import Fleet
from schemas.policy import Policy


class Inner(Document):
    """A section."""

    size: int = Field(1, ge=0, le=9, description="how much")


class Sample(Document):
    """Each way to hold a section."""

    one: Inner = Field(Inner(), description="a section")
    maybe: Inner | None = Field(None, description="a section, or none")
    many: tuple[Inner, ...] = Field((), min_length=1, description="a list")
    named: dict[str, Inner] = Field({}, description="a mapping")
    either: tuple[str, ...] | dict[str, Inner] = Field((), description="names, or sections by name")
    must: str = Field(description="has to be there")


@pytest.mark.parametrize("kind", [AgentFile, Fleet, Policy])
def test_every_key_has_a_description(kind: type[Document]) -> None:
    """Whoever adds a key says what it means: `Field(…, description="…")`; then `make schemas`."""
    assert [key.path for key in keys_of(kind) if not key.description] == []


def test_keys_are_found_in_every_kind_of_section() -> None:
    """A path says through what it leads."""
    found = {key.path: key for key in keys_of(Sample)}
    sizes = {path for path in found if path.endswith("size")}
    assert sizes == {"one.size", "maybe.size", "many[].size", "named.<name>.size", "either.<name>.size"}
    assert found["many[].size"].bounds == ("≥ 0", "≤ 9")
    assert found["many"].bounds == ("≥ 1 entries",)
    assert found["either"].kind == "list of texts or mapping of name to section"
    assert not found["must"].has_default
    assert found["one.size"].default == 1
