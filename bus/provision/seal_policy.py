"""The seal policy: the public keys that checkpoints of the trail and their cosignatures are checked with."""

from __future__ import annotations

from bus.audit.tlog.note import COSIGNATURE, ED25519, Key
from bus.audit.tlog.policy import Group, Policy
from bus.provision.seal_keys import all_handovers, public_of
from bus.surroundings import Home
from schemas import names
from schemas.fleet import Fleet

_GROUP = "all_witnesses"  # no name of a fleet has an underscore


def seal_policy_of(fleet: Fleet, home: Home) -> Policy:
    """The policy of this fleet: its sealer's log, cosigned by all of its witnesses.

    Raises:
        NotProvisioned: what is kept of keys that were replaced cannot be read.
    """
    log = Key(names.log_origin(fleet.name), ED25519, _public(home, names.SEALER))
    keys = {
        witness: Key(names.witness_name(fleet.name, witness), COSIGNATURE, _public(home, witness))
        for witness in fleet.witnesses
    }
    handovers = tuple(all_handovers(home))
    if not keys:
        return Policy((log,), keys, handovers=handovers)
    return Policy((log,), keys, {_GROUP: Group(len(keys), tuple(keys))}, _GROUP, handovers)


def write_seal_policy(fleet: Fleet, home: Home) -> None:
    """Write the policy where every process of the fleet may read it."""
    path = home.seal_policy
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    fresh = path.with_suffix(".new")
    fresh.write_text(str(seal_policy_of(fleet, home)))
    fresh.chmod(0o644)
    fresh.replace(path)


def _public(home: Home, principal: str) -> bytes:
    return public_of(home.credentials(principal) / names.SEAL_CREDENTIAL)
