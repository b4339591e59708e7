"""Kubernetes: a StatefulSet, since each instance has a spool and a slot of its own, and what may reach it.

The namespace, the keys and the fleet's public keys are made once by the person who deploys (`steps`). The server is
not rendered: run it where its disk is.

Source: Kubernetes API v1, apps/v1, networking.k8s.io/v1, policy/v1; Pod Security Standards, restricted.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import re
import shlex
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from schemas.errors import InvalidDocument

from .envelope import AGENT_FOLDER, CREDENTIALS_FOLDER, PUBLIC_FOLDER, STOP_S, TMP_FOLDER, TMP_MB, USER, Envelope
from .rendered import Rendered, RenderedFile, as_yaml

FILE = "agent.yaml"
_PUBLIC = "agentbus-public"
_HTTPS, _DNS, _NATS = 443, 53, 4222
_NOT_OUTSIDE = (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16",
    "224.0.0.0/3",
)  # fmt: skip
"""The cluster itself, machines' metadata services, and what else is no address on the internet."""
_APPLIED = "--dry-run=client -o yaml | kubectl apply -f -"
"""Made, or brought up to what there is now."""
_PATH = re.compile(r"[A-Za-z0-9._/-]+")


def render(envelope: Envelope) -> Rendered:
    """Everything of one agent in one file."""
    documents = [
        _account(envelope),
        _files(envelope),
        _service(envelope),
        _stateful_set(envelope),
        _network_policy(envelope),
        *([_disruption_budget(envelope)] if envelope.wanted.instances > 1 else []),
    ]
    return Rendered((RenderedFile(FILE, as_yaml(*documents)),), _steps(envelope))


def _head(envelope: Envelope, api: str, kind: str, suffix: str = "") -> dict[str, Any]:
    return {
        "apiVersion": api,
        "kind": kind,
        "metadata": {
            "name": _object(envelope) + suffix,
            "namespace": envelope.wanted.namespace,
            "labels": _labels(envelope) | {"app.kubernetes.io/version": envelope.version},
        },
    }


def _object(envelope: Envelope) -> str:
    return f"agent-{envelope.name}"


def _labels(envelope: Envelope) -> dict[str, str]:
    return {"app.kubernetes.io/name": "agentbus-agent", "app.kubernetes.io/instance": envelope.name}


def _account(envelope: Envelope) -> dict[str, Any]:
    return _head(envelope, "v1", "ServiceAccount") | {"automountServiceAccountToken": False}


def _files(envelope: Envelope) -> dict[str, Any]:
    """The agent's folder as it is. A key of a ConfigMap has no `/`; the mount gives each file its path back."""
    texts: dict[str, str] = {}
    others: dict[str, str] = {}
    for path, content in envelope.files.items():
        _put(_key(path), content, texts, others)
    return _head(envelope, "v1", "ConfigMap", "-files") | {"data": texts} | ({"binaryData": others} if others else {})


def _put(key: str, content: bytes, texts: dict[str, str], others: dict[str, str]) -> None:
    try:
        texts[key] = content.decode()
    except UnicodeDecodeError:
        others[key] = base64.b64encode(content).decode()


def _key(path: str) -> str:
    """Injective: each `_` of the path is `_-`, so `__` stands for `/` alone.

    Raises:
        InvalidDocument: it has a character that no key of a ConfigMap may have.
    """
    if not _PATH.fullmatch(path):
        raise InvalidDocument(f"{path}: a ConfigMap takes names of letters, digits, '.', '-' and '_'; rename the file")
    return path.replace("_", "_-").replace("/", "__")


def _service(envelope: Envelope) -> dict[str, Any]:
    """Headless: a name for each instance, for whoever scrapes them. Nobody calls an agent over it."""
    ports = (("health", envelope.wanted.health_port), ("metrics", envelope.wanted.metrics_port))
    return _head(envelope, "v1", "Service") | {
        "spec": {
            "clusterIP": "None",
            "selector": _labels(envelope),
            "ports": [{"name": name, "port": port, "targetPort": name} for name, port in ports],
        }
    }


def _stateful_set(envelope: Envelope) -> dict[str, Any]:
    name = _object(envelope)
    return _head(envelope, "apps/v1", "StatefulSet") | {
        "spec": {
            "serviceName": name,
            "replicas": envelope.wanted.instances,
            "selector": {"matchLabels": _labels(envelope)},
            "template": {
                "metadata": {
                    "labels": _labels(envelope),
                    "annotations": {
                        "agentbus/files-sha256": _digest(
                            envelope
                        ),  # other files are another template: pods are replaced
                        "prometheus.io/scrape": "true",
                        "prometheus.io/port": str(envelope.wanted.metrics_port),
                    },
                },
                "spec": _pod(envelope, name),
            },
            "volumeClaimTemplates": [
                {
                    "metadata": {"name": "state"},
                    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
                }
            ],
        }
    }


def _pod(envelope: Envelope, name: str) -> dict[str, Any]:
    return {
        "serviceAccountName": name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": STOP_S,
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": _labels(envelope)},
            }
        ],
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(envelope)],
        "volumes": [
            {"name": "files", "configMap": {"name": f"{name}-files", "items": _items(envelope)}},
            {"name": "credentials", "secret": {"secretName": f"{name}-credentials", "defaultMode": 0o440}},
            {"name": "public", "configMap": {"name": _PUBLIC}},
            {"name": "tmp", "emptyDir": {"sizeLimit": f"{TMP_MB}Mi"}},
        ],
    }


def _items(envelope: Envelope) -> list[dict[str, str]]:
    return [{"key": _key(path), "path": path} for path in envelope.files]


def _container(envelope: Envelope) -> dict[str, Any]:
    wanted = envelope.wanted
    limits = {"cpu": f"{wanted.cpus:g}", "memory": f"{wanted.memory_mb}Mi"}
    return {
        "name": "agent",
        "image": wanted.image,
        "args": list(envelope.command[1:]),
        "command": [envelope.command[0]],
        "env": _environment(envelope),
        "ports": [
            {"name": "health", "containerPort": wanted.health_port},
            {"name": "metrics", "containerPort": wanted.metrics_port},
        ],
        "startupProbe": _probe("/health/live", period_s=2, failures=60),  # it waits for a server that is away
        "readinessProbe": _probe("/health/ready", period_s=10, failures=2),
        "livenessProbe": _probe("/health/live", period_s=10, failures=3),
        "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": limits | {"ephemeral-storage": "2Gi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "files", "mountPath": AGENT_FOLDER, "readOnly": True},
            {"name": "credentials", "mountPath": CREDENTIALS_FOLDER, "readOnly": True},
            {"name": "public", "mountPath": PUBLIC_FOLDER, "readOnly": True},
            {"name": "state", "mountPath": envelope.state},
            {"name": "tmp", "mountPath": TMP_FOLDER},
        ],
    }


def _environment(envelope: Envelope) -> list[dict[str, Any]]:
    plain = [{"name": name, "value": value} for name, value in envelope.environment.items()]
    slot = {"fieldRef": {"fieldPath": "metadata.labels['apps.kubernetes.io/pod-index']"}}
    address = {"fieldRef": {"fieldPath": "status.podIP"}}
    # the kubelet asks at the pod's own address; who else reaches it there, the network policy says
    health: list[dict[str, Any]] = [
        {"name": "AGENTBUS_SLOT", "valueFrom": slot},
        {"name": "AGENTBUS_HTTP_HOST", "valueFrom": address},
        {"name": "AGENTBUS_HEALTH_PORT", "value": str(envelope.wanted.health_port)},
        {"name": "AGENTBUS_METRICS_PORT", "value": str(envelope.wanted.metrics_port)},
    ]
    secrets = [
        {"name": name, "valueFrom": {"secretKeyRef": _secret_key(envelope, name, is_optional=is_optional)}}
        for name, is_optional in envelope.variables.items()
    ]
    return [*plain, *health, *secrets]


def _secret_key(envelope: Envelope, name: str, *, is_optional: bool) -> dict[str, Any]:
    return {"name": f"{_object(envelope)}-variables", "key": name, "optional": is_optional}


def _probe(path: str, *, period_s: int, failures: int) -> dict[str, Any]:
    return {
        "httpGet": {"path": path, "port": "health"},
        "periodSeconds": period_s,
        "timeoutSeconds": 2,
        "failureThreshold": failures,
    }


def _network_policy(envelope: Envelope) -> dict[str, Any]:
    """Prometheus asks for metrics, the kubelet's probes pass anyway; out go names, the server, and the web where it is wanted."""
    egress: list[Mapping[str, Any]] = [
        {
            "to": [_namespace("kube-system")],
            "ports": [{"protocol": protocol, "port": _DNS} for protocol in ("UDP", "TCP")],
        },
        *map(_to_server, envelope.wanted.nats_url.split(",")),
    ]
    if envelope.speaks_outside:
        block = {"cidr": "0.0.0.0/0", "except": list(_NOT_OUTSIDE)}
        egress.append({"to": [{"ipBlock": block}], "ports": [{"protocol": "TCP", "port": _HTTPS}]})
    metrics = {"from": [_namespace(envelope.wanted.metrics_from)], "ports": [{"protocol": "TCP", "port": "metrics"}]}
    return _head(envelope, "networking.k8s.io/v1", "NetworkPolicy") | {
        "spec": {
            "podSelector": {"matchLabels": _labels(envelope)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [metrics],
            "egress": egress,
        }
    }


def _to_server(address: str) -> dict[str, Any]:
    """The server's port, at its address or in its namespace as far as its name says which."""
    parts = urlsplit(address)
    host, ports = parts.hostname or "", [{"protocol": "TCP", "port": parts.port or _NATS}]
    labels = host.split(".")
    if len(labels) > 2 and labels[2] == "svc":
        return {"to": [_namespace(labels[1])], "ports": ports}
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return {"ports": ports}
    return {"to": [{"ipBlock": {"cidr": f"{found}/{found.max_prefixlen}"}}], "ports": ports}


def _namespace(name: str) -> dict[str, Any]:
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}


def _digest(envelope: Envelope) -> str:
    digest = hashlib.sha256()
    for path, content in sorted(envelope.files.items()):
        digest.update(f"{path}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def _disruption_budget(envelope: Envelope) -> dict[str, Any]:
    return _head(envelope, "policy/v1", "PodDisruptionBudget") | {
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": _labels(envelope)}}
    }


def _steps(envelope: Envelope) -> tuple[str, ...]:
    space, name, home = envelope.wanted.namespace, _object(envelope), envelope.wanted.home
    keys = shlex.quote(str(home / "credentials" / envelope.name))
    public = shlex.quote(str(home / "public"))
    return (
        f"kubectl create namespace {space} {_APPLIED}",
        f"kubectl label --overwrite namespace {space} pod-security.kubernetes.io/enforce=restricted",
        "# again after each rotation of keys, then: kubectl rollout restart",
        f"kubectl -n {space} create configmap {_PUBLIC} --from-file={public} {_APPLIED}",
        f"kubectl -n {space} create secret generic {name}-credentials --from-file={keys} {_APPLIED}",
        *(_variable_steps(envelope)),
        f"kubectl apply -f {FILE}",
        f"kubectl -n {space} rollout status statefulset/{name}",
    )


def _variable_steps(envelope: Envelope) -> tuple[str, ...]:
    if not envelope.variables:
        return ()
    names = ", ".join(envelope.variables)
    return (
        f"# a file with a line NAME=value for each of {names}, mode 0600, and:",
        f"kubectl -n {envelope.wanted.namespace} create secret generic {_object(envelope)}-variables --from-env-file=FILE {_APPLIED}",
    )
