"""How every command runs: errors as one sentence, exit codes by class, uvloop, logs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine, MutableMapping
from typing import Any

EX_UNAVAILABLE, EX_TEMPFAIL, EX_NOPERM, EX_CONFIG = 69, 75, 77, 78
STOPPED = 3


def guarded(command: Callable[[], Any]) -> None:
    """Run a command. Errors of ours end it with one sentence; anything else is a defect and keeps its traceback."""
    # structlog takes rich along where it is installed, for colourful tracebacks that nothing here prints:
    # a quarter of a second in every command, and 4 MB in every process of the fleet (measured).
    sys.modules.setdefault("rich", None)  # type: ignore[arg-type]
    try:
        command()
    except Exception as error:
        from schemas.errors import AgentbusError
        from schemas.text import harmless

        if not isinstance(error, AgentbusError):
            raise
        for line in str(error).split("\n") if str(error) else [type(error).__name__]:
            print(f"agentbus: {harmless(line)}", file=sys.stderr)
        raise SystemExit(exit_code(error)) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def exit_code(error: Exception) -> int:
    """The sysexits number of an error's class."""
    from agents.installing.errors import NotPermitted, NotPossible
    from agents.llm.errors import PoolUnusable
    from agents.supervisor.supervisor import AlreadyRunning
    from bus.errors import (
        AuditUnavailable,
        ConnectionRefused,
        CredentialMissing,
        NoServer,
        NotProvisioned,
        SealContradicted,
    )
    from bus.health.errors import NoListener
    from schemas.errors import DeadlineExceeded, InvalidDocument, PermissionDenied, Unavailable, UnknownOutcome

    table: tuple[tuple[tuple[type[Exception], ...], int], ...] = (
        (
            (
                InvalidDocument,
                CredentialMissing,
                NotProvisioned,
                NoServer,
                NotPossible,
                PoolUnusable,
                AlreadyRunning,
                SealContradicted,
            ),
            EX_CONFIG,
        ),
        ((ConnectionRefused, Unavailable), EX_UNAVAILABLE),
        ((AuditUnavailable, DeadlineExceeded, NoListener, UnknownOutcome), EX_TEMPFAIL),
        ((NotPermitted, PermissionDenied), EX_NOPERM),
    )
    return next((code for kinds, code in table if isinstance(error, kinds)), 1)


def run_async[T](main: Coroutine[Any, Any, T]) -> T:
    """Run on uvloop."""
    import uvloop

    return uvloop.run(main)


def log_to_stdout() -> None:
    """A service's log: JSON lines, with fields of their own in systemd's journal; readable ones on a terminal.

    Call it before anything that logs is imported.
    """
    import logging

    import structlog

    from agents.cli.journal import Journal, leads_to_journal, render
    from agents.cli.log_lines import lines

    last: Any = structlog.dev.ConsoleRenderer() if sys.stdout.isatty() else structlog.processors.JSONRenderer()
    journal = Journal() if leads_to_journal() else None
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            _with_trace,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            _without_secrets,
            last if journal is None else render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=lines if journal is None else lambda *_names: journal,
        cache_logger_on_first_use=True,
    )


def _with_trace(_logger: object, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A line of the log with the conversation it belongs to, where it is written at work on one."""
    from bus import trace

    here = trace.current()
    if here is not None:
        line.setdefault("trace_id", here.trace_id)
    return line


def _without_secrets(_logger: object, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A line of the log without the values that must not be in it."""
    from schemas.masking import masked
    from schemas.redaction import REGISTERED

    texts = [value if isinstance(value, str) else str(value) for value in line.values()]
    without = REGISTERED.redacted(texts)
    if without is not texts:
        line.update(zip(line, without, strict=True))
    return dict(masked(line))


def log_quietly() -> None:
    """A command's log: warnings and errors only, on standard error, so that its answer stands alone."""
    import logging

    import structlog

    from agents.cli.log_lines import error_lines

    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            _without_secrets,
            structlog.processors.KeyValueRenderer(key_order=["level", "event"]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        logger_factory=error_lines,
    )
