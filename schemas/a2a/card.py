"""Who an agent is: its card, its skills, and how callers prove who they are.

Source: A2A v1.0 §4.4 (agent card), §4.5 (security schemes).
"""

from __future__ import annotations

from .objects import A2AObject, JsonObject
from .security import SecurityRequirement, SecurityScheme

PROTOCOL_VERSION = "1.0"
BINDING_URI = "urn:agentbus:a2a:binding:nats:v1"
TYPED_SKILLS_URI = "urn:agentbus:a2a:ext:typed-skills:v1"
"""Extension whose `params.skills[<id>]` holds `{input, output}` JSON Schemas of the skill's data parts."""
LARGE_PARTS_URI = "urn:agentbus:a2a:ext:large-parts:v1"
"""Extension: content that is too large for a message travels beside it. Key of a reference's metadata."""
RELEASE_URI = "urn:agentbus:a2a:ext:release:v1"
"""Extension whose `params.tree` is the git tree id of the configuration that this process runs."""


class AgentInterface(A2AObject, frozen=True, kw_only=True):
    """A place where the agent answers."""

    url: str
    protocol_binding: str
    protocol_version: str
    tenant: str = ""


class AgentExtension(A2AObject, frozen=True, kw_only=True):
    """An extension of the protocol that the agent speaks."""

    uri: str
    description: str = ""
    required: bool = False
    params: JsonObject = {}


class AgentCapabilities(A2AObject, frozen=True, kw_only=True):
    """Optional parts of the protocol this agent offers."""

    streaming: bool = False
    push_notifications: bool = False
    extended_agent_card: bool = False
    extensions: tuple[AgentExtension, ...] = ()


class AgentSkill(A2AObject, frozen=True, kw_only=True):
    """Something the agent can do. Types of a typed skill stand in the card's `TYPED_SKILLS_URI` extension."""

    id: str
    name: str
    description: str
    tags: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()
    input_modes: tuple[str, ...] = ()
    output_modes: tuple[str, ...] = ()
    security_requirements: tuple[SecurityRequirement, ...] = ()


class AgentProvider(A2AObject, frozen=True, kw_only=True):
    """Who runs the agent."""

    url: str
    organization: str


class AgentCardSignature(A2AObject, frozen=True, kw_only=True):
    """A detached JWS over the card's canonical JSON without its signatures. Source: RFC 7515, RFC 8785."""

    protected: str
    signature: str
    header: JsonObject = {}


class AgentCard(A2AObject, frozen=True, kw_only=True):
    """Who an agent is and what it can do."""

    name: str
    description: str
    version: str
    supported_interfaces: tuple[AgentInterface, ...]
    capabilities: AgentCapabilities = AgentCapabilities()
    skills: tuple[AgentSkill, ...] = ()
    default_input_modes: tuple[str, ...] = ()
    default_output_modes: tuple[str, ...] = ()
    documentation_url: str = ""
    provider: AgentProvider | None = None
    security_schemes: dict[str, SecurityScheme] = {}
    security_requirements: tuple[SecurityRequirement, ...] = ()
    signatures: tuple[AgentCardSignature, ...] = ()
    icon_url: str = ""
