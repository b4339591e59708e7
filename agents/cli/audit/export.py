"""The trail, or a part of it, as lines in another's format."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import BinaryIO

from agents.cli.audit.progress import Progress
from agents.cli.audit.replay import trail_of
from agents.cli.run import log_quietly, run_async
from bus.audit.formats.export import FORMATS, header_of, line_in
from bus.audit.select import Selection, selected
from schemas import subjects
from schemas.errors import InvalidDocument


def export(root: Path, wanted: Selection, to: str, output: Path | None) -> None:
    """Write every event that matches; exit 1 when something on the stream was no event, and is left out."""
    log_quietly()
    if to not in FORMATS:
        raise InvalidDocument(f"--format {to[:40]!r} is none of {', '.join(FORMATS)}")
    with _opened(output) as file:
        written, left_out = run_async(_write(root, wanted, to, file))
    if output:
        print(f"{written} events written to {output}", file=sys.stderr)
    if left_out:
        print(
            f"agentbus: {len(left_out)} messages that are no audit events are left out, the first at stream sequence "
            f"{left_out[0]}; run: agentbus audit verify", file=sys.stderr,
        )  # fmt: skip
    raise SystemExit(1 if left_out else 0)


async def _write(root: Path, wanted: Selection, to: str, file: BinaryIO) -> tuple[int, list[int]]:
    written, left_out = 0, list[int]()
    async with trail_of(root) as reader:
        bounds = await reader.bounds()
        progress = Progress(max(wanted.start, bounds.first), bounds.last)
        file.write(header_of(to))
        async with aclosing(selected(reader, wanted, end=bounds.last)) as events:
            async for record in events:
                line = line_in(to, record)
                if record.subject == subjects.SEAL:
                    continue  # a checkpoint is no event: agentbus audit verify checks it
                if line is None:
                    left_out.append(record.sequence)
                else:
                    file.write(line)
                    written += 1
                progress.at(record.sequence)
        progress.end()
    return written, left_out


@contextmanager
def _opened(output: Path | None) -> Iterator[BinaryIO]:
    """Where to write: a new file that only its owner may read, taken away again where the export fails.

    Raises:
        InvalidDocument: the file exists, or cannot be made.
    """
    if output is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise InvalidDocument(f"{output} exists; it is not overwritten: name another file, or remove it") from None
    except OSError as error:
        raise InvalidDocument(f"{output} cannot be written: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
    except BaseException:
        output.unlink(missing_ok=True)
        raise
