"""What stands around an agent wherever it runs: image, resources, secrets by name, its files as they are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agents.runtime.loading.agent_folder import AgentFolder, file_in, read_folder
from schemas.agent import AgentFile
from schemas.agent.reading import NOWHERE
from schemas.agent.references import references_of
from schemas.errors import InvalidDocument
from schemas.names import AUDIT_CREDENTIAL, BUS_CREDENTIAL, OWN_CREDENTIAL

KEYS = (BUS_CREDENTIAL, OWN_CREDENTIAL, AUDIT_CREDENTIAL)
"""The key files that provisioning makes for every agent."""
USER = 10001
"""The user that the image runs as; it owns nothing in the image."""
AGENT_FOLDER = "/agent"
CREDENTIALS_FOLDER = "/run/credentials/agentbus"
HOME_FOLDER = "/var/lib/agentbus"
PUBLIC_FOLDER = f"{HOME_FOLDER}/public"
AUTHORITY = f"{PUBLIC_FOLDER}/ca.pem"
TMP_FOLDER = "/tmp"  # noqa: S108  the container's own
TMP_MB = 1024
STOP_S = 40
"""Longer than an agent's drain, as in its unit."""
MAX_FILES_BYTES = 900 * 1024
"""What fits into a ConfigMap of Kubernetes, with room for its frame."""
_IGNORED = re.compile(r"(^|/)(\.|__pycache__(/|$))")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the one who deploys chooses. `memory_mb` and `cpus` are limits of one instance."""

    image: str
    nats_url: str
    instances: int = 1
    memory_mb: int = 2048
    cpus: float = 2.0
    health_port: int = 8080
    metrics_port: int = 9090
    namespace: str = "agentbus"
    metrics_from: str = "monitoring"
    """Namespace of Kubernetes whose pods may ask for metrics."""
    region: str = ""
    home: Path = Path(HOME_FOLDER)
    """The provisioned home that the agent's keys are taken from, on the machine of the one who deploys."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """One agent, ready to be put into a platform's own words."""

    name: str
    version: str
    description: str
    file: str
    """The name of the agent's file in `files`."""
    files: Mapping[str, bytes]
    """Paths below the agent's folder, with what they hold, unchanged."""
    variables: Mapping[str, bool]
    """Environment variables that hold a secret by the agent's file, and whether it can do without."""
    credentials: tuple[str, ...]
    """Further secrets that the agent's file wants as files (`credential:NAME`)."""
    speaks_outside: bool
    """Whether a model or a tool of it is reached over HTTPS."""
    wanted: Wanted = field(repr=False)

    @property
    def command(self) -> tuple[str, ...]:
        """What the container runs."""
        return "agentbus", "agent", "run", f"{AGENT_FOLDER}/{self.file}"

    @property
    def state(self) -> str:
        """The folder that it writes to: the spool of its audit trail above all."""
        return f"{HOME_FOLDER}/state/{self.name}"

    @property
    def environment(self) -> dict[str, str]:
        """The surroundings of the process, the same variables as in its unit. No secret."""
        return {
            "AGENTBUS_NATS_URL": ",".join(map(_with_authority, self.wanted.nats_url.split(","))),
            "AGENTBUS_HOME": HOME_FOLDER,
            "AGENTBUS_STATE": self.state,
            "CREDENTIALS_DIRECTORY": CREDENTIALS_FOLDER,
            "HOME": TMP_FOLDER,
            "PYTHONFAULTHANDLER": "1",
        }


def _with_authority(address: str) -> str:
    """A server that speaks TLS shows a certificate of the fleet's own authority, unless another one is named."""
    return f"{address}?ca={AUTHORITY}" if address.startswith("tls://") and "?" not in address else address


def envelope_of(name: str, path: Path, wanted: Wanted) -> Envelope:
    """The envelope of the agent whose folder, or file, is `path`.

    Raises:
        InvalidDocument: it cannot be used, is another agent, or has files that no platform takes; the message says which.
    """
    read = read_folder(path, NOWHERE)
    if read.file.agent.id != name:
        raise InvalidDocument(f"{read.path} is the agent {read.file.agent.id}, not {name}")
    variables, credentials = _secrets(read)
    return Envelope(
        name=name,
        version=read.file.agent.version,
        description=read.file.agent.description,
        file=file_in(read.folder).name,
        files=_files(read.folder),
        variables=variables,
        credentials=credentials,
        speaks_outside=_speaks_outside(read.file),
        wanted=wanted,
    )


def _files(folder: Path) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder).as_posix()
        if _IGNORED.search(relative) or path.is_dir():
            continue
        if path.is_symlink() or not path.is_file():
            raise InvalidDocument(f"{path} is no ordinary file; what is deployed is what was reviewed, without links")
        found[relative] = path.read_bytes()
    size = sum(map(len, found.values()))
    if size > MAX_FILES_BYTES:
        raise InvalidDocument(
            f"the files of {folder} are {size >> 10} KiB; {MAX_FILES_BYTES >> 10} KiB can be mounted: "
            "put large ones into an image of your own, made from the product's"
        )
    return found


def _secrets(read: AgentFolder) -> tuple[dict[str, bool], tuple[str, ...]]:
    """Variables and credential files that the agent's file refers to."""
    optional = {
        choice.api_key
        for choice in (read.file.llm.pool if read.file.llm else ())
        if choice.api_key and choice.when_key_is_missing == "skip"
    }
    variables: dict[str, bool] = {}
    credentials: set[str] = set()
    for reference in references_of(read.file):
        kind, _, target = reference.partition(":")
        if kind == "file":
            raise InvalidDocument(
                f"{read.path} takes a secret from {target}, a path of one machine; write credential:NAME"
            )
        if kind == "env":
            variables[target] = variables.get(target, True) and reference in optional
        else:
            credentials.add(target)
    return variables, tuple(sorted(credentials))


def _speaks_outside(file: AgentFile) -> bool:
    models = any(choice.provider != "offline" for choice in (file.llm.pool if file.llm else ()))
    return models or bool(file.mcp.servers) or bool({"web_search", "http_request"} & set(file.tools.named))
