"""Writing what was rendered, or printing it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path

from agents.cli.run import log_quietly
from agents.deploying import TARGETS, Envelope, Rendered, Wanted, envelope_of
from agents.deploying.rendered import HEADER
from schemas.errors import InvalidDocument

_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_IMAGE = re.compile(r"[a-z0-9][\w./:@-]*")
_URL = re.compile(r"(nats|tls)://[\w.:\[\]-]+(\?ca=[\w./-]+)?")
_DEFAULT_URL = "nats://127.0.0.1:4222"
_ON_THE_MACHINE = frozenset({"systemd", "local"})


@dataclass(frozen=True, slots=True)
class Deployed:
    """What is deployed, and where the files go."""

    target: str
    name: str
    file: Path
    out: Path | None

    @property
    def folder(self) -> Path:
        """Where files are written."""
        return self.out or Path("deploy") / self.target / self.name


def deploy(deployed: Deployed, wanted: Wanted, *, is_dry: bool, as_json: bool) -> None:
    """Render, and write or print.

    Raises:
        InvalidDocument: the agent cannot be deployed there, an option makes no sense, or a file in the way is not ours.
    """
    log_quietly()
    target = TARGETS[deployed.target]
    envelope = envelope_of(deployed.name, deployed.file, _checked(deployed.target, wanted))
    rendered = target.render(envelope)
    files = _all_files(rendered, envelope if target.takes_files else None)
    if not is_dry:
        _write(deployed.folder, files)
    if as_json:
        print(json.dumps(_as_json(deployed, rendered, files, is_dry=is_dry), indent=2))
        return
    for path, content in files.items() if is_dry else ():
        print(f"# --- {deployed.folder / path}")
        print(content.decode("utf-8", "replace") if isinstance(content, bytes) else content, end="")
    if files and not is_dry:
        print(f"written to {deployed.folder}: {', '.join(files)}")
    print("# --- next, none of it was run:" if rendered.files else "# run it:")
    print("\n".join(rendered.steps))


def _checked(target: str, wanted: Wanted) -> Wanted:
    filled = replace(wanted, nats_url=wanted.nats_url or (_DEFAULT_URL if target in _ON_THE_MACHINE else ""))
    problems = [
        problem
        for is_wrong, problem in (
            (not filled.nats_url, "say where the server is as seen from there: --nats-url tls://HOST:4222"),
            (
                filled.nats_url and not all(map(_URL.fullmatch, filled.nats_url.split(","))),
                "--nats-url is nats://HOST:PORT or tls://HOST:PORT, for a cluster each server with commas between",
            ),
            (
                target not in _ON_THE_MACHINE and not filled.image,
                "name the image: --image NAME@sha256:…; see Containerfile",
            ),
            (filled.image and not _IMAGE.fullmatch(filled.image), f"{filled.image!r} is no name of an image"),
            *(
                (not _NAMESPACE.fullmatch(name), f"{name!r} is no namespace")
                for name in (filled.namespace, filled.metrics_from)
            ),
            (filled.health_port == filled.metrics_port, "health and metrics need a port each"),
        )
        if is_wrong
    ]
    if problems:
        raise InvalidDocument("\n".join(problems))
    return filled


def _all_files(rendered: Rendered, with_own: Envelope | None) -> dict[str, str | bytes]:
    files: dict[str, str | bytes] = {file.path: file.text for file in rendered.files}
    if with_own is not None:
        files |= {f"agent/{path}": content for path, content in with_own.files.items()}
    return files


def _write(folder: Path, files: dict[str, str | bytes]) -> None:
    foreign = [
        str(folder / path)
        for path, content in files.items()
        if isinstance(content, str) and (folder / path).exists() and not (folder / path).read_text().startswith(HEADER)
    ]
    if foreign:
        raise InvalidDocument(f"not written by this command, so not overwritten: {', '.join(foreign)}")
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content if isinstance(content, bytes) else content.encode())


def _as_json(
    deployed: Deployed, rendered: Rendered, files: dict[str, str | bytes], *, is_dry: bool
) -> dict[str, object]:
    return {
        "target": deployed.target,
        "agent": deployed.name,
        "folder": str(deployed.folder),
        "written": not is_dry,
        "files": {file.path: file.text for file in rendered.files},
        "unchanged": [path for path in files if path.startswith("agent/")],
        "steps": list(rendered.steps),
    }
