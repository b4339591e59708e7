"""Generated files: they are those that the code makes now, and they say what the code does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from agents.generating import files
from agents.generating.__main__ import main


def test_the_generated_files_are_current() -> None:
    """What is checked in is what `make schemas` writes."""
    assert files.stale() == []


def test_generating_twice_gives_the_same_bytes() -> None:
    """The output depends on the code alone."""
    assert files.documents() == files.documents()


@pytest.mark.parametrize("path", [path for path in files.documents() if path.endswith(".schema.json")])
def test_every_schema_is_a_json_schema(path: str) -> None:
    """Each schema is valid in the dialect that it names."""
    schema = json.loads(files.documents()[path])
    assert schema["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
    Draft202012Validator.check_schema(schema)


def test_what_is_stale_is_named_and_only_that_is_written(tmp_path: Path) -> None:
    """A missing, a changed and a left-over file are each named; writing brings exactly them up to date."""
    files.write(tmp_path)
    missing, changed = tmp_path / "nats/streams.json", tmp_path / "schemas/json/Task.schema.json"
    left_over = tmp_path / "schemas/json/Gone.schema.json"
    missing.unlink()
    changed.write_text("{}")
    left_over.write_text("{}")
    expected = ["nats/streams.json", "schemas/json/Gone.schema.json", "schemas/json/Task.schema.json"]
    assert files.stale(tmp_path) == expected
    assert changed.read_text() == "{}"
    assert files.write(tmp_path) == expected
    assert files.stale(tmp_path) == []
    assert not left_over.exists()


def test_the_exit_code_says_whether_something_is_stale(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--check` exits 1 and names the file while something is stale, 0 afterwards."""
    assert main(["--check"], tmp_path) == 1
    assert "nats/streams.json is stale; run: make schemas" in capsys.readouterr().out
    assert main([], tmp_path) == 0
    assert main(["--check"], tmp_path) == 0


def test_no_key_of_this_machine_is_in_the_configuration() -> None:
    """The example configuration holds placeholders where the server expects public keys."""
    config = files.documents()["nats/nats-server.conf"]
    keys = [line.strip() for line in config.splitlines() if "nkey" in line]
    assert 'nkey: "<greeter bus key>"' in keys
    assert all(key.startswith('nkey: "<') for key in keys)
