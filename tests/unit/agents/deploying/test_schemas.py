"""What is rendered is what each platform's published schema takes."""

from __future__ import annotations

import importlib.resources
import json
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from tests.harness.deploying import AGENTS, rendered


@pytest.fixture(scope="module")
def compose_schema() -> Any:
    """The schema of the Compose Specification."""
    vendored = importlib.resources.files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    return jsonschema.Draft202012Validator(json.loads(vendored.read_text()))


@pytest.mark.parametrize("agent", AGENTS, ids=lambda path: path.name)
def test_kubernetes_takes_every_object(agent: Path) -> None:
    """Strictly: a key that the API does not know is an error, as is a value of another type."""
    documents = list(yaml.safe_load_all(rendered("k8s", agent, instances=2).files[0].text))
    assert [document["kind"] for document in documents] == [
        "ServiceAccount", "ConfigMap", "Service", "StatefulSet", "NetworkPolicy", "PodDisruptionBudget",
    ]  # fmt: skip
    for document in documents:
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


def test_kubernetes_schema_refuses_what_is_wrong() -> None:
    """The check above can fail."""
    (_, _, _, stateful, *_) = yaml.safe_load_all(rendered("k8s", AGENTS[0]).files[0].text)
    stateful["spec"]["template"]["spec"]["containers"][0]["readOnlyRootFileSystem"] = True
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(stateful, kubernetes_validate.latest_version(), strict=True)


@pytest.mark.parametrize("agent", AGENTS, ids=lambda path: path.name)
def test_compose_takes_the_file(agent: Path, compose_schema: Any) -> None:
    """As the schema of the specification has it."""
    compose_schema.validate(yaml.safe_load(rendered("compose", agent, instances=2).files[0].text))


def test_compose_schema_refuses_what_is_wrong(compose_schema: Any) -> None:
    """The check above can fail."""
    document = yaml.safe_load(rendered("compose", AGENTS[0]).files[0].text)
    document["services"]["greeter-0"]["readonly"] = True
    with pytest.raises(jsonschema.ValidationError):
        compose_schema.validate(document)


@pytest.mark.parametrize("agent", AGENTS, ids=lambda path: path.name)
def test_fly_file_is_toml_of_known_tables(agent: Path) -> None:
    """No schema of Fly's is published as a package: the tables and keys are those of its reference."""
    document = tomllib.loads(rendered("fly", agent).files[0].text)
    assert set(document) <= {
        "app", "primary_region", "kill_signal", "kill_timeout", "build", "env", "processes", "mounts", "files", "vm",
        "restart", "metrics", "checks",
    }  # fmt: skip
    assert all(set(file) in ({"guest_path", "local_path"}, {"guest_path", "secret_name"}) for file in document["files"])
    assert "services" not in document
    assert "http_service" not in document
