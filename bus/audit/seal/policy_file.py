"""The seal policy as a file: read by the sealer, its witnesses and auditors; written by provisioning."""

from __future__ import annotations

from pathlib import Path

from bus.audit.tlog.errors import NotVerified
from bus.audit.tlog.handover import Lineage
from bus.audit.tlog.policy import Policy
from schemas.errors import InvalidDocument


def load_policy(path: Path) -> Policy:
    """Read a seal policy.

    Raises:
        InvalidDocument: it is missing, or not one.
    """
    try:
        return Policy.parse(path.read_text())
    except (OSError, UnicodeDecodeError, NotVerified) as error:
        raise InvalidDocument(
            f"{path} does not have the keys of the sealer and its witnesses: {error}; run `agentbus provision`, or "
            "name a policy that you were given"
        ) from None


def log_of(policy: Policy) -> Lineage:
    """The one log of a fleet's policy, with the keys that it had.

    Raises:
        InvalidDocument: it names none, or several.
    """
    if len(policy.logs) != 1:
        raise InvalidDocument(f"the policy names {len(policy.logs)} logs, a fleet's has one; run: agentbus provision")
    return policy.lineage(policy.logs[0])
