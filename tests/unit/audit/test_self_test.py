"""A verifier that sees nothing is found before it is believed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agents.cli.audit.backup import verify_offline
from agents.cli.audit.verify import Wanted
from bus.audit.seal.check import SealCheck
from bus.audit.verifying import chain, verify
from bus.audit.verifying.chain import Finding, Slot
from bus.audit.verifying.self_test import KINDS, located, self_test
from bus.audit.verifying.self_test_trail import small_trail
from bus.audit.verifying.verify import Verifier
from bus.errors import VerifierUnfit

BLIND: dict[str, tuple[object, str, Any]] = {
    "signatures": (chain, "_signature_problem", lambda *_: ""),
    "chains": (Slot, "_broken", lambda *_: iter(())),
    "counters": (Slot, "_order", lambda *_: ""),
    "places of batches": (Slot, "_moved", lambda *_: Finding(99, "", "")),
    "pieces": (Verifier, "_check_place", lambda *_: None),
    "unsigned ends": (Slot, "end", lambda *_: iter(())),
    "identities": (Verifier, "_check_identity", lambda *_: None),
    "sequences": (Verifier, "_check_sequence", lambda self, record: setattr(self, "_expected", record.sequence + 1)),
    "clocks": (verify, "MAX_SKEW_S", 1e9),
    "clocks that run backwards": (chain, "MAX_SKEW_S", 1e9),
    "roots": (SealCheck, "_located", lambda *_: Finding(99, "", "")),
    "two roots": (SealCheck, "_impossible", lambda *_: ""),
    "cut ends": (SealCheck, "finish", lambda *_: iter(())),
    "digests": (verify, "digest", lambda *_: "0" * 64),
}


def test_a_verifier_that_works_is_fit() -> None:
    """It passes, and each kind is located on a trail of other keys too."""
    self_test()
    trail = small_trail()
    for name, kind in KINDS.items():
        assert located(kind.plant(trail).verified()) == (kind.first, kind.last), name


@pytest.mark.parametrize("what", BLIND)
def test_a_verifier_that_is_blind_to_something_is_not_fit(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each check in turn is taken out of the verifier: the self-test does not let it go on."""
    owner, name, blind = BLIND[what]
    monkeypatch.setattr(owner, name, blind)
    with pytest.raises(VerifierUnfit, match="self-test"):
        self_test()


def test_a_verifier_that_always_says_sound_is_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one whose findings are thrown away, and one that finds fault with everything."""

    def nothing(_self: Verifier, findings: Iterator[Finding]) -> None:
        list(findings)

    with monkeypatch.context() as patched:
        patched.setattr(Verifier, "_take", nothing)
        with pytest.raises(VerifierUnfit, match="does not see"):
            self_test()
    monkeypatch.setattr(Slot, "_order", lambda *_: "wrong")
    with pytest.raises(VerifierUnfit, match="untouched"):
        self_test()


def test_nothing_is_verified_by_a_verifier_that_is_not_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command exits 2 with the reason, before it looks at any trail."""
    monkeypatch.setattr(chain, "_signature_problem", lambda *_: "")
    with pytest.raises(SystemExit) as ended:
        verify_offline(tmp_path, tmp_path, Wanted(), as_json=False)
    assert ended.value.code == 2
    assert "failed its self-test: it does not see where" in capsys.readouterr().out
