"""The permission matrix, key by key, on one server: what is declared in `tests.matrix` is what the server does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from tests.harness.fleet import Bench, bench, credentials_of
from tests.matrix.cells import Act, Verdict, cells
from tests.matrix.probe import Prober
from tests.matrix.roles import Key, change

MATRIX = cells()
module_loop = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def walls(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bench]:
    """The fleet whose keys are tried."""
    async with bench(tmp_path_factory.mktemp("walls"), change) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def prober(walls: Bench, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Prober]:
    """Tries cells on its server, where the approvals' account is listened to."""
    listen, folder = walls.fleet.nats, tmp_path_factory.mktemp("stranger")
    prober = Prober(listen.host, listen.port, walls.home.root / "credentials", folder)
    async with prober.listening():
        yield prober


@module_loop
@pytest.mark.parametrize("key", MATRIX, ids=lambda key: key.name)
async def test_a_key_may_do_what_is_declared_and_nothing_else(prober: Prober, key: Key) -> None:
    """Every cell of this key: what it publishes, hears and asks of JetStream."""
    tried = MATRIX[key]
    seen = await prober.verdicts(key, tried)
    assert [(cell, seen[cell].value) for cell in tried if seen[cell] is not cell.declared] == []


@module_loop
async def test_every_key_is_tried(walls: Bench) -> None:
    """The fleet has no user that the matrix leaves out."""
    assert {(key.principal, key.file) for key in MATRIX if key.file} == set(credentials_of(walls.fleet))


@module_loop
async def test_a_false_declaration_is_seen(prober: Prober) -> None:
    """The opposite of a cell of each kind is told apart: the matrix can fail."""
    key = next(key for key in MATRIX if key.name == "concierge.bus")
    let = {(cell.act, cell.declared): cell for cell in MATRIX[key]}
    assert let.keys() >= {(act, verdict) for act in Act for verdict in (Verdict.REFUSED,)}
    assert let.keys() >= {(Act.PUBLISH, Verdict.LET), (Act.HEAR, Verdict.LET), (Act.CALL, Verdict.ANSWERED)}
    turned = {cell: replace(cell, declared=_opposite(cell.declared)) for cell in let.values()}
    seen = await prober.verdicts(key, turned.values())
    assert [cell for cell, lie in turned.items() if seen[lie] is not cell.declared] == []


def _opposite(verdict: Verdict) -> Verdict:
    return Verdict.LET if verdict is Verdict.REFUSED else Verdict.REFUSED
