"""Proposals that are not what they say, or bring what no agent may bring."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import msgspec
import nats.errors
import pytest

from tests.adversary.field import Case, Field
from tests.unit.approvals.fleet_repository import AGENT_YAML, Change, plain

_REFUSED = "proposal.refused"
Make = Callable[[Field], bytes]


async def _is_refused(field: Field, make: Make, said: str) -> None:
    await field.refuses(make(field), said)


def _files(changes: Mapping[str, Change], **lies: Any) -> Make:
    return lambda field: field.forge(changes, **lies)


def _lies(**lies: Any) -> Make:
    return lambda field: field.honest(**lies)


def _raw(data: bytes) -> Make:
    return lambda _: data


def _with_field(field: Field) -> bytes:
    return field.honest().replace(b'{"agent"', b'{"approved":true,"agent"')


def _said_twice(field: Field) -> bytes:
    return field.honest().replace(b'{"agent":"greeter"', b'{"agent":"greeter","kind":"prompt"').replace(
        b'"kind":"prompt","base"', b'"kind":"nonsense","base"'
    )  # fmt: skip


def _header_in_path(path: str) -> Make:
    diff = f"diff --git a/{path} b/{path}\nnew file mode 100644\n--- /dev/null\n+++ b/{path}\n@@ -0,0 +1 @@\n+x\n"
    return lambda field: field.honest(diff=diff)


_ROWS: tuple[tuple[str, Make, str], ...] = (
    ("a path that leaves the folder", _header_in_path("../greeter2/agent.yaml"), "git apply"),
    ("an absolute path", _header_in_path("/etc/passwd"), "git"),
    ("a hook", _header_in_path(".git/hooks/post-checkout"), "git"),
    ("git attributes", _files({".gitattributes": plain(b"* -diff\n")}), "is not allowed"),
    ("submodules' file", _files({".gitmodules": plain(b"x\n")}), "is not allowed"),
    ("a symlink to a key", _files({"key": ("120000", b"/etc/shadow")}), "'120000'"),
    ("a symlink in place of its file", _files({"agent.yaml": ("120000", b"../textstats/agent.yaml")}), "'120000'"),
    ("a submodule", _files({"vendor": ("160000", b"1" * 40)}), "'160000'"),
    ("a hidden file", _files({".env": plain(b"x\n")}), "is not allowed"),
    ("a path with a newline", _files({"a\nb.md": plain(b"x\n")}), "is not allowed"),
    ("a path that reads backwards", _files({"\u202egnp.py": plain(b"x\n")}), "is not allowed"),
    ("case twins", _files({"a.md": plain(b"x\n"), "A.md": plain(b"x\n")}), "upper and lower case"),
    ("its own file in capitals", _files({"AGENT.yaml": plain(b"x\n")}), "upper and lower case"),
    ("a file too large to read", _files({"big.md": plain(b"x" * 300_000)}), "at most"),
    ("too many files", _files({f"n{n}.md": plain(b"x\n") for n in range(40)}), "at most"),
    ("a binary", _files({"tool.bin": plain(bytes(range(256)))}), "binary"),
    ("a NUL byte", _files({"nul.md": plain(b"a\0b\n")}), "binary"),
    ("its configuration is gone", _files({"agent.yaml": None}), "gone"),
    ("its configuration is another agent's", _files(
        {"agent.yaml": plain(AGENT_YAML.replace(b"id: greeter", b"id: textstats"))}), "the agent is textstats"),
    ("its configuration is none", _files({"agent.yaml": plain(b"agent: 5\n")}), "agent.yaml"),
    ("a key in its configuration", _files({"notes.md": plain(
        b"api_key = 'sk-ant-api03-" + b"Zx9Qw7Er5Ty3Ui1Op" * 3 + b"'\n")}), "keep it outside"),
    ("code that is called a prompt", _files({"handler.py": plain(b"x = 1\n")}, kind="prompt"), "kind code, not prompt"),
    ("a tool that is called a prompt", _files(
        {"agent.yaml": plain(AGENT_YAML.replace(b"tools: [propose_change]", b"tools: []"))}, kind="prompt"), "kind"),
    ("nothing is changed", _lies(files=(), diff=""), "changes nothing"),
    ("a diff that shows less than the tree holds", _lies(diff=""), "the diff gives tree"),
    ("the tree of another", _lies(tree="4b825dc642cb6eb9a060e54bf8d69288fbee4904"), "not the proposed"),
    ("a tree that is an option of git", _lies(tree="--help"), "not the proposed"),
    ("a base that is not in force", _lies(base="1" * 40), "the base has moved"),
    ("files that the diff does not change", _lies(files=()), "changes nothing"),
    ("an unknown field", _with_field, "unknown field"),
    ("a field that is said twice", _said_twice, "not a proposal"),
    ("no JSON", _raw(b"approve me"), "not a proposal"),
    ("JSON without end", _raw(b"[" * 100_000), "not a proposal"),
    ("no text", _raw(b"\xff\xfe"), "not a proposal"),
    ("nothing at all", _raw(b""), "not a proposal"),
    ("a change of another agent", _lies(agent="textstats"), "only propose for itself"),
    ("a kind that nobody can propose", _lies(kind="halt"), "not of kind halt"),
    ("an agent's folder as the fleet's files", _lies(scope="fleet"), "authority or policy"),
    ("who decides, by an agent", _lies(scope="fleet", kind="policy", agent="greeter"), "may not propose who decides"),
    ("the authority of another", _lies(scope="fleet", kind="authority", agent="textstats"), "only propose for itself"),
    ("its own authority that is a prompt", _lies(scope="fleet", kind="authority"), "the base has moved"),
)  # fmt: skip

CASES = tuple(Case(name, partial(_is_refused, make=make, said=said), _REFUSED) for name, make, said in _ROWS)


async def _five_megabytes(field: Field) -> None:
    """The server's own limit: the client is told before it sends, and nothing is recorded."""
    client = await field.desk.client("greeter")
    with pytest.raises(nats.errors.MaxPayloadError):
        await client.publish("approvals.propose.greeter", b"x" * 5_000_000)


async def _too_large_to_keep(field: Field) -> None:
    """What the stream does not take is not on record, so it is nothing."""
    receipt = msgspec.json.decode(
        await field.desk.say("greeter", "approvals.propose.greeter", field.honest() + b" " * 600_000)
    )
    assert receipt["problem"]


CASES += (Case("five megabytes", _five_megabytes), Case("more than the record keeps", _too_large_to_keep))
