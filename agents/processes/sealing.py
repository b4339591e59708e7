"""The processes that seal the trail: `agentbus sealer serve` and `agentbus witness serve NAME`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial

import structlog

from agents.notify import Notifier
from agents.processes.alive import alive
from agents.processes.reporting import Report, reporting
from agents.processes.service import Identity, Running, ask_for_patience, opened, profile_of, service
from agents.processes.signs import Signs
from bus.audit.emit import Audit
from bus.audit.seal.cosigners import Cosigned, Cosigners, reply_of
from bus.audit.seal.policy_file import load_policy, log_of
from bus.audit.seal.sealed_log import SealedLog
from bus.audit.seal.sealer import CHECKPOINT, LOG, Sealer
from bus.audit.seal.witness import Answer, Witness
from bus.background import vital
from bus.connection import Connection, Msg
from bus.credentials import Credential
from bus.errors import AuditUnavailable, ConnectionRefused, SealContradicted
from bus.health import seal
from bus.health.doors import Doors
from bus.provision.streams import trail_streams
from bus.surroundings import Surroundings
from schemas import names, subjects
from schemas.errors import A2AError, InvalidDocument

_log = structlog.get_logger("sealing")
_FINISH_S = 10.0


async def serve_sealer(place: Surroundings) -> None:
    """Seal the trail until told to stop.

    Raises:
        SealContradicted: the stream is not what was sealed; it is on the trail.
    """
    policy = load_policy(place.home.seal_policy)
    private = Credential.find(place.credentials, names.SEAL_CREDENTIAL).signing_key()
    log = SealedLog(place.state / LOG, log_of(policy), private)
    async with service(Identity(names.SEALER, is_agent=False, bus=names.TRAIL_CREDENTIAL), place) as running:
        cosigners = Cosigners(running.bus, policy.witnesses)
        told = Told(running.audit)
        sealer = Sealer(running.bus, log, cosigners, place.state / CHECKPOINT, on_cosigned=told.cosigned)
        sealer.untold = [one.note for one in policy.handovers]
        running.report.health.add("seal", seal.check_of(sealer))
        running.report.numbers.looks.append(partial(seal.look_at, sealer, log, place.state / CHECKPOINT))
        found: list[SealContradicted] = []
        running.report.stands_on(running.bus, trail_streams())
        sealing = vital(_sealing(sealer, running, found), "sealing the trail", running.signs.fail)
        await running.serve("sealing the trail")
        sealing.cancel()
        await asyncio.gather(sealing, return_exceptions=True)
        if found:
            raise found[0]
        if not running.signs.failure:
            await _finished(sealer)
        log.close()


async def _sealing(sealer: Sealer, running: Running, found: list[SealContradicted]) -> None:
    """Seal until the stream contradicts what was sealed: that is put into `found`, on the trail, and ends the process."""
    try:
        await sealer.run()
    except SealContradicted as error:
        _log.error("sealer.contradicted", sequence=error.sequence, reason=str(error))
        with contextlib.suppress(AuditUnavailable):
            running.audit.emit(
                "audit.contradicted", action="seal", outcome="failure", reason=str(error),
                metadata={"sequence": error.sequence},
            )  # fmt: skip
            await running.audit.confirm()
        found.append(error)
        running.signs.fail(str(error))
    except OSError as error:
        running.signs.fail(f"the sealer's folder cannot be written: {error}")


async def _finished(sealer: Sealer) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_FINISH_S):
            await sealer.finish()


class Told:
    """Writes on the trail when a witness begins or ceases to cosign, once each time."""

    def __init__(self, audit: Audit) -> None:
        self._audit = audit
        self._is_well: dict[str, bool] = {}

    def cosigned(self, said: Cosigned) -> None:
        """Tell what has changed."""
        named = {signature.name.rpartition("/")[2]: "" for signature in said.signatures}
        for witness, reason in {**named, **said.problems}.items():
            if self._is_well.get(witness) != (not reason):
                self._is_well[witness] = not reason
                self._tell(witness, reason)

    def _tell(self, witness: str, reason: str) -> None:
        _log.info("sealer.witness", witness=witness, reason=reason)
        with contextlib.suppress(AuditUnavailable):
            self._audit.emit(
                "audit.unwitnessed" if reason else "audit.witnessed",
                action="cosign", resource=witness, outcome="failure" if reason else "success", reason=reason,
            )  # fmt: skip


async def serve_witness(place: Surroundings, name: str) -> None:
    """Cosign checkpoints until told to stop.

    Raises:
        InvalidDocument: the fleet has no such witness, or what it keeps cannot be read.
        ConnectionRefused: the server refused it for good.
    """
    policy = load_policy(place.home.seal_policy)
    if name not in policy.witnesses:
        raise InvalidDocument(f"{name} is not a witness of this fleet; there are: {', '.join(policy.witnesses)}")
    private = Credential.find(place.credentials, names.SEAL_CREDENTIAL).signing_key()
    witness = Witness(place.state, policy.witnesses[name].name, private, log_of(policy))
    signs = Signs()
    signs.listen()
    async with reporting(name, Doors.from_environment()) as report:
        await _witnessing(witness, Identity(name, is_agent=False), place, signs, report)
    if signs.failure:
        raise ConnectionRefused(signs.failure)


async def _witnessing(witness: Witness, identity: Identity, place: Surroundings, signs: Signs, report: Report) -> None:
    notifier = Notifier.from_environment()
    notifier.status("waiting for the NATS server")
    patience = asyncio.create_task(ask_for_patience(notifier))
    connection = await opened(profile_of(identity, place, signs, names.OWN_CREDENTIAL), signs)
    patience.cancel()
    report.connected("own", connection)
    report.numbers.looks.append(partial(seal.look_at_witness, witness))
    await attend(connection, identity.name, witness, report.cosigned)
    async with alive(notifier, report.lateness, "cosigning checkpoints", signs.asked_again):
        report.health.stage = "serving"
        await signs.wait()
    report.health.stage = "draining"
    notifier.stopping("stopping")
    signs.is_closing = True
    await connection.close()


def _uncounted(_: int) -> None:
    """Nobody counts."""


async def attend(
    connection: Connection, name: str, witness: Witness, on_answer: Callable[[int], None] = _uncounted
) -> None:
    """Answer each request to the witness `name`, and tell `on_answer` the status; on return the server knows that it
    listens."""
    answering: set[asyncio.Task[None]] = set()

    def on_request(message: Msg) -> None:
        reply = reply_of(message, name)
        if not reply:
            return
        answer = witness.add_checkpoint(message.data)
        on_answer(answer.status)
        if answer.reason:
            _log.warning("witness.refused", status=answer.status, reason=answer.reason)
        task = asyncio.create_task(_answer(connection, reply, answer))
        answering.add(task)
        task.add_done_callback(answering.discard)

    await connection.subscribe(str(subjects.Cosign(name)), on_request)
    await connection.flush()


async def _answer(connection: Connection, reply: str, answer: Answer) -> None:
    headers = {}
    if answer.reason:
        headers = {names.SERVICE_ERROR_CODE: str(answer.status), names.SERVICE_ERROR: " ".join(answer.reason.split())}
    try:
        await connection.publish(reply, answer.body, headers=headers)
    except A2AError as error:
        _log.warning("witness.answer_lost", reason=error.reason)
