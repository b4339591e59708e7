"""Signed agent cards: only the agent's own key, only the card that was signed; canonical JSON as RFC 8785 has it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from a2a.types import a2a_pb2
from a2a.utils.signing import InvalidSignaturesError, create_signature_verifier
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from google.protobuf.json_format import Parse

from bus.credentials import create_credential, verifying_key
from bus.discovery.cards import CardNotTrusted, sign_card, verify_card
from schemas import a2a, protojson
from schemas.canonical import canonical

CARD = a2a.AgentCard(
    name="textstats", description="Zählt 数", version="1.0.0",
    supported_interfaces=(a2a.AgentInterface(url="nats:x", protocol_binding="N", protocol_version="1.0"),),
    capabilities=a2a.AgentCapabilities(
        streaming=True, extensions=(a2a.AgentExtension(uri="u:x", params={"n": 1.5, "k": 3, "empty": {}}),)
    ),
)  # fmt: skip


def test_a_signed_card_is_verified_after_the_wire(tmp_path: Path) -> None:
    """What the agent signed is what a caller that decoded it verifies."""
    key = create_credential(tmp_path / "a.nk")
    received = protojson.decode(protojson.encode(sign_card(CARD, key)), a2a.AgentCard)
    verify_card(received, agent="textstats", public_key=key.public_key())


def test_whatever_is_not_the_agents_is_refused(tmp_path: Path) -> None:
    """No signature, a changed card, another key (also under the agent's kid), another name: each is refused."""
    key, other = create_credential(tmp_path / "a.nk"), create_credential(tmp_path / "b.nk")
    signed, foreign = sign_card(CARD, key), sign_card(CARD, other)
    forged = msgspec.structs.replace(foreign.signatures[0], protected=signed.signatures[0].protected)
    broken = msgspec.structs.replace(signed.signatures[0], protected="%")
    for card in (
        CARD,
        foreign,
        msgspec.structs.replace(signed, description="changed"),
        msgspec.structs.replace(signed, signatures=(forged,)),
        msgspec.structs.replace(signed, signatures=(broken,)),
    ):
        with pytest.raises(CardNotTrusted):
            verify_card(card, agent="textstats", public_key=key.public_key())
    with pytest.raises(CardNotTrusted):
        verify_card(signed, agent="greeter", public_key=key.public_key())


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e21, "1e+21"), (1e20, "100000000000000000000"), (1e-6, "0.000001"), (1e-7, "1e-7"), (-0.0, "0"),
        (333333333.33333329, "333333333.3333333"), (4.50, "4.5"), (2e-3, "0.002"), (5e-324, "5e-324"), (10, "10"),
        ("\u20ac$\u000f\nA'B\"\\", '"€$\\u000f\\nA\'B\\"\\\\"'), ({"\ufb33": 1, "\U0001f600": 2, "1": 3}, '{"1":3,"😀":2,"\ufb33":1}'),
    ],
)  # fmt: skip
def test_canonical_json_is_that_of_rfc_8785(value: object, text: str) -> None:
    """Numbers as ECMAScript writes them, the shortest escapes, keys in the order of UTF-16."""
    assert canonical(value).decode() == text


def test_numbers_that_are_not_exact_are_refused() -> None:
    """What two programs could read differently is not signed."""
    for value in (2**53 + 1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=r"2\^53|infinity"):
            canonical(value)


def test_the_official_sdk_verifies_the_same_signature(tmp_path: Path) -> None:
    """The SDK's verifier, given the agent's key, accepts the card and refuses it changed."""
    credential = create_credential(tmp_path / "bus.nk")
    public = verifying_key(credential.public_key())
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    verify = create_signature_verifier(lambda _kid, _jku: pem, ["EdDSA"])
    theirs = Parse(protojson.encode(sign_card(CARD, credential)), a2a_pb2.AgentCard())
    verify(theirs)
    theirs.description = "another"
    with pytest.raises(InvalidSignaturesError):
        verify(theirs)
