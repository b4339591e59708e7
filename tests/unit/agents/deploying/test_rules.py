"""What holds for an agent on every platform: no root, no secret, nothing that points at something that is not there."""

from __future__ import annotations

import base64
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from agents.deploying.kubernetes import _key
from schemas.errors import InvalidDocument
from tests.harness.deploying import AGENTS, envelope, rendered

GREETER = AGENTS[0]
AGENT = """
agent: {id: helper, description: Helps., version: 1.0.0, skills: [{id: help, name: Help, description: Helps., tags: [x]}]}
llm:
  system_prompt: Take env:NOTHING for a word.
  pool: [{provider: openai, model: gpt-5-mini, api_key: "env:MODEL_KEY"}]
mcp:
  search: {url: "https://search.example/mcp", headers: {Authorization: "Bearer credential:search-token"}, tools: ["*"]}
"""


@pytest.fixture
def helper(tmp_path: Path) -> Path:
    """An agent with a required key, a secret of an MCP server, and files in folders, one of them no text."""
    folder = tmp_path / "helper"
    (folder / "data_files" / "deep").mkdir(parents=True)
    (folder / "agent.yaml").write_text(AGENT)
    (folder / "data_files" / "deep" / "blob.bin").write_bytes(b"\xff\x00\xfe")
    (folder / ".hidden").write_text("not deployed")
    return folder


def objects(agent: Path, **chosen: Any) -> dict[str, Any]:
    """Kubernetes' objects by kind."""
    return {each["kind"]: each for each in yaml.safe_load_all(rendered("k8s", agent, **chosen).files[0].text)}


def test_a_pod_has_no_rights(helper: Path) -> None:
    """Pod Security Standards, restricted; and no token of the cluster."""
    pod = objects(helper)["StatefulSet"]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert set(container["resources"]["limits"]) == {"cpu", "memory", "ephemeral-storage"}


def test_everything_that_is_named_is_there(helper: Path) -> None:
    """Mounts have volumes, items have keys, selectors find the pod: what no schema sees."""
    by_kind = objects(helper, instances=2)
    stateful = by_kind["StatefulSet"]["spec"]
    pod = stateful["template"]["spec"]
    volumes = {volume["name"] for volume in pod["volumes"]}
    volumes |= {claim["metadata"]["name"] for claim in stateful["volumeClaimTemplates"]}
    assert {mount["name"] for mount in pod["containers"][0]["volumeMounts"]} == volumes
    files = next(volume["configMap"] for volume in pod["volumes"] if volume["name"] == "files")
    assert files["name"] == by_kind["ConfigMap"]["metadata"]["name"]
    assert {item["key"] for item in files["items"]} == set(
        by_kind["ConfigMap"]["data"] | by_kind["ConfigMap"]["binaryData"]
    )
    labels = stateful["template"]["metadata"]["labels"]
    for kind, selector in (
        ("StatefulSet", "selector"),
        ("NetworkPolicy", "podSelector"),
        ("PodDisruptionBudget", "selector"),
    ):
        assert by_kind[kind]["spec"][selector]["matchLabels"] == labels
    assert by_kind["Service"]["spec"]["selector"] == labels
    assert stateful["serviceName"] == by_kind["Service"]["metadata"]["name"]
    assert pod["serviceAccountName"] == by_kind["ServiceAccount"]["metadata"]["name"]
    ports = {port["name"] for port in pod["containers"][0]["ports"]}
    probes = ("startupProbe", "readinessProbe", "livenessProbe")
    assert {pod["containers"][0][probe]["httpGet"]["port"] for probe in probes} <= ports


def test_files_arrive_as_they_are(helper: Path) -> None:
    """Each file of the folder is mounted under its path with its bytes; hidden ones stay behind."""
    by_kind = objects(helper)
    config = by_kind["ConfigMap"]
    files = next(
        v["configMap"] for v in by_kind["StatefulSet"]["spec"]["template"]["spec"]["volumes"] if v["name"] == "files"
    )
    held = {key: text.encode() for key, text in config["data"].items()}
    held |= {key: base64.b64decode(text) for key, text in config["binaryData"].items()}
    assert {item["path"]: held[item["key"]] for item in files["items"]} == {
        "agent.yaml": AGENT.encode(),
        "data_files/deep/blob.bin": b"\xff\x00\xfe",
    }


@pytest.mark.parametrize(
    "paths", [("a_b", "a/b"), ("a__b", "a/b"), ("a_/b", "a/_b"), ("a_-b", "a_b"), ("a/-b", "a_-b")]
)
def test_keys_of_paths_are_distinct(paths: tuple[str, str]) -> None:
    """Two files never share a key."""
    assert _key(paths[0]) != _key(paths[1])


@pytest.mark.parametrize("target", ["k8s", "compose", "fly"])
def test_secrets_are_named_and_never_written(target: str, helper: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The value of a secret that is in this shell is nowhere in what is rendered; its name is; a prompt's words are none."""
    monkeypatch.setenv("MODEL_KEY", "sk-do-not-tell")
    result = rendered(target, helper)
    text = "".join(file.text for file in result.files) + "".join(result.steps)
    assert "sk-do-not-tell" not in text
    assert "MODEL_KEY" in text
    assert "search-token" in text.replace("SEARCH_TOKEN", "search-token")
    assert "NOTHING" not in {*envelope(helper).variables}


def test_a_key_that_is_needed_is_needed_everywhere(helper: Path) -> None:
    """`when_key_is_missing: skip` makes it optional, and nothing else does."""
    assert envelope(helper).variables == {"MODEL_KEY": False}
    assert envelope(GREETER).variables == {"ANTHROPIC_API_KEY": True, "OPENAI_API_KEY": True}
    services = yaml.safe_load(rendered("compose", helper).files[0].text)["services"]
    assert services["helper-0"]["environment"]["MODEL_KEY"].startswith("${MODEL_KEY:?")


def test_every_service_of_compose_is_shut(helper: Path) -> None:
    """Read-only, no capability, no new privileges, no port, bounded; instances have a slot and a volume of their own."""
    document = yaml.safe_load(rendered("compose", helper, instances=2).files[0].text)
    for slot, service in enumerate(document["services"].values()):
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert not service["user"].startswith("0")
        assert "ports" not in service
        assert service["environment"]["AGENTBUS_SLOT"] == str(slot)
        assert {f"state-{slot}"} == {each["source"] for each in service["volumes"] if each["type"] == "volume"}
        assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}
        assert {secret["source"] for secret in service["secrets"]} <= set(document["secrets"])


def test_only_who_speaks_outside_may(helper: Path) -> None:
    """An agent that speaks NATS alone has no way to the internet; one with a model has, and not to a machine's metadata."""
    textstats = next(path for path in AGENTS if path.name == "textstats")

    def reaches(agent: Path) -> list[Any]:
        rules = objects(agent)["NetworkPolicy"]["spec"]["egress"]
        return [block["ipBlock"] for rule in rules for block in rule.get("to", []) if "ipBlock" in block]

    assert reaches(textstats) == []
    (block,) = reaches(helper)
    assert block["cidr"] == "0.0.0.0/0"
    assert {"169.254.0.0/16", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"} < set(block["except"])


@pytest.mark.parametrize(
    ("url", "to"),
    [
        ("nats://10.1.2.3:4222", [{"ipBlock": {"cidr": "10.1.2.3/32"}}]),
        ("nats://[fd00::1]:4222", [{"ipBlock": {"cidr": "fd00::1/128"}}]),
        (
            "tls://nats.messaging.svc.cluster.local:4222",
            [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "messaging"}}}],
        ),
        ("tls://nats.example:4222", None),
    ],
)
def test_the_server_is_reached_where_it_is(helper: Path, url: str, to: list[Any] | None) -> None:
    """At its address or in its namespace, where its name says which; each server of a cluster has a rule."""
    one, other = (
        objects(helper, nats_url=urls)["NetworkPolicy"]["spec"]["egress"]
        for urls in (url, f"{url},nats://10.9.9.9:4333")
    )
    assert one[1] == ({"to": to} if to else {}) | {"ports": [{"protocol": "TCP", "port": 4222}]}
    assert [rule["ports"][0]["port"] for rule in other[1:3]] == [4222, 4333]


def test_nobody_asks_but_prometheus(helper: Path) -> None:
    """From one namespace, at one port; probes come from the node, which no policy keeps out."""
    (rule,) = objects(helper, metrics_from="watching")["NetworkPolicy"]["spec"]["ingress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": "metrics"}]
    assert rule["from"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "watching"}}}]


def test_a_changed_file_replaces_pods(helper: Path) -> None:
    """A ConfigMap alone does not; the template names what the files hold."""

    def template() -> dict[str, str]:
        found: dict[str, str] = objects(helper)["StatefulSet"]["spec"]["template"]["metadata"]["annotations"]
        return found

    before = template()
    assert template() == before
    (helper / "more.md").write_text("more")
    assert template() != before


@pytest.mark.parametrize("target", ["k8s", "compose", "fly"])
def test_tls_rests_on_the_fleets_authority(target: str, helper: Path) -> None:
    """Whose certificate is mounted; each server of a cluster is asked for it."""
    text = rendered(target, helper, nats_url="tls://a.example:4222,tls://b.example:4222").files[0].text
    ca = "/var/lib/agentbus/public/ca.pem"
    assert f"tls://a.example:4222?ca={ca},tls://b.example:4222?ca={ca}" in text
    assert "ca=" not in rendered(target, helper, nats_url="nats://a.example:4222").files[0].text


def test_fly_has_one_instance(helper: Path) -> None:
    """Machines of one app cannot be told apart by their variables."""
    with pytest.raises(InvalidDocument, match="one instance"):
        rendered("fly", helper, instances=2)
    files = tomllib.loads(rendered("fly", helper).files[0].text)["files"]
    assert {"guest_path": "/agent/data_files/deep/blob.bin", "local_path": "agent/data_files/deep/blob.bin"} in files


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda folder: (folder / "link").symlink_to("/etc/passwd"), "without links"),
        (lambda folder: (folder / "big").write_bytes(b"x" * 2**20), "KiB can be mounted"),
        (
            lambda folder: (folder / "agent.yaml").write_text(AGENT.replace("env:MODEL_KEY", "file:/etc/key")),
            "one machine",
        ),
        (lambda folder: (folder / "agent.yaml").write_text(AGENT.replace("id: helper", "id: other")), "not helper"),
    ],
    ids=["link", "large", "file of a machine", "another agent"],
)
def test_what_no_platform_takes_is_refused(helper: Path, spoil: Any, says: str) -> None:
    """With a sentence that says what to do."""
    spoil(helper)
    with pytest.raises(InvalidDocument, match=says):
        envelope(helper)
