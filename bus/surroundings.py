"""Where a process runs: the server's address, its keys, its own state folder, and the home of the fleet.

The same three variables serve a systemd unit and the local supervisor, so a process cannot tell which
of them started it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from schemas import names
from schemas.errors import InvalidDocument

NATS_URL = "AGENTBUS_NATS_URL"
CREDENTIALS = "AGENTBUS_CREDENTIALS"
STATE = "AGENTBUS_STATE"
HOME = "AGENTBUS_HOME"
SLOT = "AGENTBUS_SLOT"
DEFAULT_URL = "nats://127.0.0.1:4222"


@dataclass(frozen=True, slots=True)
class Home:
    """The folder that holds a whole fleet on one machine; the same tree under `.agentbus` and `/var/lib/agentbus`."""

    root: Path

    @property
    def repository(self) -> Path:
        """The bare git repository of fleet file, policy and every agent's folder; branch `main` is in force."""
        return self.root / "fleet.git"

    @property
    def server_config(self) -> Path:
        """The generated nats-server configuration."""
        return self.root / "nats" / "conf" / "nats-server.conf"

    @property
    def user_keys(self) -> Path:
        """The public keys of the server's users, with which its configuration can be written without any secret."""
        return self.root / "nats" / "conf" / "users.json"

    @property
    def packet_filter(self) -> Path:
        """How often who may try to connect, for nft; root alone writes it, since the kernel does what it says."""
        return self.root / "nats" / "packet-filter.nft"

    @property
    def store(self) -> Path:
        """JetStream's files."""
        return self.root / "nats" / "jetstream"

    @property
    def archives(self) -> Path:
        """The names of the trail's archives, which may be read by whoever may read the trail."""
        return self.root / "nats" / "archives.json"

    @property
    def store_key(self) -> Path:
        """The environment of nats-server, with the key of JetStream's files in it; no other process's."""
        return self.credentials(names.NATS_SERVER) / "store.env"

    @property
    def trust(self) -> Path:
        """Public keys of every audit producer, for auditors."""
        return self.root / "trust.json"

    @property
    def agent_keys(self) -> Path:
        """Public keys of every agent on the bus, for whoever verifies cards; every process of the fleet may read it."""
        return self.root / "public" / "agents.json"

    @property
    def seal_policy(self) -> Path:
        """Whose checkpoints of the trail are believed: public keys of the sealer and the witnesses (C2SP tlog-policy)."""
        return self.root / "public" / "seal.policy"

    @property
    def ca(self) -> Path:
        """The certificate of the authority that signs the server's; every process of the fleet may read it."""
        return self.root / "public" / "ca.pem"

    @property
    def ca_key(self) -> Path:
        """The authority's key, which no process in service needs."""
        return self.credentials(names.AUTHORITY) / "ca.key"

    @property
    def server_certificate(self) -> Path:
        """What the server shows to clients and to the other servers of a cluster."""
        return self.root / "nats" / "tls" / "server.pem"

    @property
    def server_key(self) -> Path:
        """The key of that certificate, for the server alone."""
        return self.root / "nats" / "tls" / "server.key"

    @property
    def contexts(self) -> Path:
        """Folder to use as XDG_CONFIG_HOME so that `nats --context NAME` finds the generated contexts."""
        return self.root / "contexts"

    @property
    def socket(self) -> Path:
        """The supervisor's control socket."""
        return self.root / "run" / "supervisor.sock"

    def health(self, process: str) -> Path:
        """Where a process that `agentbus up` runs tells how it is."""
        return self.root / "run" / f"{process}.sock"

    def credentials(self, principal: str) -> Path:
        """The folder of one principal's key files."""
        return self.root / "credentials" / principal

    def state(self, process: str) -> Path:
        """The folder that one process writes to."""
        return self.root / "state" / process

    def live(self, agent: str) -> Path:
        """The link to the release that the agent runs."""
        return self.root / "live" / agent

    @property
    def wanted_fleet(self) -> Path:
        """The tree of the fleet's own files that the applier wants in force; a wish, until the record grants it."""
        return self.root / "live" / "fleet.tree"

    @property
    def provisioned(self) -> Path:
        """The repository of what provisioning put in force; no other process writes it."""
        return self.state(names.PROVISION) / "fleet.git"

    def release(self, agent: str, tree: str) -> Path:
        """The read-only folder with exactly the files of the git tree `tree`."""
        return self.root / "releases" / agent / tree


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the environment tells a process."""

    nats_url: str
    credentials: Path
    state: Path
    home: Home
    slot: str


def surroundings(environment: dict[str, str] | None = None) -> Surroundings:
    """Read the environment (systemd's own variables serve where ours are not set).

    Raises:
        InvalidDocument: a variable is missing; the message names it.
    """
    env = dict(os.environ) if environment is None else environment

    def path(ours: str, systemd: str) -> Path:
        value = env.get(ours) or env.get(systemd, "").split(":")[0]
        if not value:
            raise InvalidDocument(f"{ours} is not set; start this process with `agentbus up` or its systemd unit")
        return Path(value)

    return Surroundings(
        nats_url=env.get(NATS_URL) or DEFAULT_URL,
        credentials=path(CREDENTIALS, "CREDENTIALS_DIRECTORY"),
        state=path(STATE, "STATE_DIRECTORY"),
        home=Home(Path(env.get(HOME) or "/var/lib/agentbus")),
        slot=env.get(SLOT) or "0",
    )
