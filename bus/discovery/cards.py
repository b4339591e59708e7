"""Agent cards signed by their agent, and the check that a caller makes against the fleet's own list of keys.

A signature's `kid` is only compared, never trusted: the key is the one the caller knows for that agent.

Source: A2A v1.0 §8.4; RFC 7515 (detached JWS); RFC 8037 (EdDSA); RFC 8785.
"""

from __future__ import annotations

import base64
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature

from bus.credentials import Credential, verifying_key
from schemas import a2a, protojson
from schemas.canonical import canonical
from schemas.errors import AgentbusError


class CardNotTrusted(AgentbusError):
    """The card is not signed with its agent's key: do not use it; ask the operator which key the agent has."""


def sign_card(card: a2a.AgentCard, credential: Credential) -> a2a.AgentCard:
    """The card with its agent's signature in place of any that it had."""
    header = {"alg": "EdDSA", "kid": credential.public_key(), "typ": "JOSE"}
    protected = _base64url(canonical(header))
    signature = credential.signing_key().sign(_signed_bytes(card, protected))
    signed = a2a.AgentCardSignature(protected=protected, signature=_base64url(signature))
    return msgspec.structs.replace(card, signatures=(signed,))


def verify_card(card: a2a.AgentCard, *, agent: str, public_key: str) -> None:
    """Return only when the card is `agent`'s and signed with `public_key`, the nkey (`U…`) the fleet knows for it.

    Raises:
        CardNotTrusted: no such signature, another key's, a changed card, or another agent's name on it.
    """
    if card.name != agent:
        raise CardNotTrusted(f"the card is not of {agent}; do not use it")
    if not any(_is_valid(card, signature, public_key) for signature in card.signatures):
        raise CardNotTrusted(f"the card of {agent} has no valid signature by {public_key}; do not use it")


def _is_valid(card: a2a.AgentCard, signature: a2a.AgentCardSignature, public_key: str) -> bool:
    try:
        header = msgspec.json.decode(_bytes(signature.protected), type=dict[str, Any])
        if (header.get("alg"), header.get("kid")) != ("EdDSA", public_key) or "crit" in header or "b64" in header:
            return False
        signed = _signed_bytes(card, signature.protected)
        verifying_key(public_key).verify(_bytes(signature.signature), signed)
    except (InvalidSignature, ValueError, msgspec.MsgspecError, RecursionError):
        return False
    return True


def _signed_bytes(card: a2a.AgentCard, protected: str) -> bytes:
    plain = msgspec.json.decode(protojson.encode(msgspec.structs.replace(card, signatures=())))
    return f"{protected}.{_base64url(canonical(_without_empty(plain)))}".encode()


def _without_empty(value: Any) -> Any:
    """What is empty is left out, at every depth, as the A2A SDKs do before they sign."""
    if isinstance(value, dict):
        kept = {key: _without_empty(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if not _is_empty(item)}
    if isinstance(value, list):
        return [item for item in map(_without_empty, value) if not _is_empty(item)]
    return value


def _is_empty(value: object) -> bool:
    return value is None or value in ("", [], {})


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
