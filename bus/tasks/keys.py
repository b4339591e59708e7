"""Ids of messages in streams that callers share."""

from __future__ import annotations

from bus.credentials import Credential
from schemas.ids import sha256_hex


def message_id(credential: Credential, caller: str, agent: str, key: str) -> str:
    """What stands for a caller's `key` to `agent` in a stream that all callers share.

    The server looks for duplicates by this id alone, so one that another caller could guess would let
    it put a task of its own in this one's place: the id is made with the caller's key file.
    """
    signer = credential.signing_key()  # Ed25519: the same key gives the same id
    return sha256_hex(signer.sign(f"task key of {caller} to {agent}: {key}".encode()))
