"""The reference page of everything that can be configured, made from the types that read the files."""

from __future__ import annotations

import json
from typing import Any

from schemas.agent import AgentFile
from schemas.document_keys import Key, keys_of
from schemas.documents import Document
from schemas.fleet import Fleet
from schemas.policy import Policy

_HEAD = """\
# Configuration

Every key of every file, with its default. `make schemas` makes this page from the types that read the files; a test keeps it current.

`agentbus agent validate FILE` says everything that is wrong with an agent's file, and `agentbus agent show FILE` what holds in the end. Unknown keys are refused. Durations are seconds (`_s`), sizes bytes or MiB (`_mb`). `llm.pool[].model` is the key `model` in each entry of the list `pool`; `<name>` is a name that you choose.
"""
_FILES: tuple[tuple[str, str, type[Document]], ...] = (
    ("agent.yaml", "One agent, in its own folder `agents/<id>/`.", AgentFile),
    ("fleet.yaml", "Who is on the bus, and who may ask whom. Permissions are generated from it.", Fleet),
    ("policy.yaml", "Who must approve which change.", Policy),
)
_COLUMNS = "| key | takes | default | bounds | meaning |\n|---|---|---|---|---|\n"


def configuration_page() -> str:
    """The whole page, as Markdown."""
    return _HEAD + "".join(_of_file(*row) for row in _FILES)


def _of_file(name: str, meaning: str, kind: type[Document]) -> str:
    sections: dict[str, list[Key]] = {}
    for key in keys_of(kind):
        sections.setdefault(_section_of(key.path, name), []).append(key)
    return f"\n## {name}\n{meaning}\n" + "".join(_table(title, keys) for title, keys in sections.items())


def _section_of(path: str, file: str) -> str:
    """The top-level key that holds it; the file's own for what lies at its top."""
    top = path.partition(".")[0].removesuffix("[]")
    return top if top != path else file


def _table(title: str, keys: list[Key]) -> str:
    return f"\n### {title}\n{_COLUMNS}" + "".join(_row(key) for key in keys)


def _row(key: Key) -> str:
    bounds = "; ".join(_cell(bound) for bound in key.bounds)
    return f"| `{key.path}` | {_cell(key.kind)} | {_default(key)} | {bounds} | {_cell(key.description)} |\n"


def _default(key: Key) -> str:
    if not key.has_default:
        return "**required**"
    is_empty = key.default in (None, "", [], {}) or isinstance(key.default, dict)  # a section's stand at its keys
    return "" if is_empty else f"`{_cell(_as_yaml(key.default))}`"


def _as_yaml(default: Any) -> str:
    return default if isinstance(default, str) else json.dumps(default, ensure_ascii=False)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
