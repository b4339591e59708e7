"""The Python of a release."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from agents.installing.errors import NotPossible
from agents.installing.interpreter import Interpreter, put_python, this_interpreter, with_own_library


def test_the_systems_python_is_used_where_it_is(tmp_path: Path) -> None:
    """Under /usr it is in every unit's sight; the release says where its packages are, and can be moved."""
    interpreter = Interpreter(Path("/usr/bin/python3.99"), Path("/usr"), "3.99.1")
    packages = put_python(interpreter, tmp_path)
    assert packages == tmp_path / "lib" / "python3.99" / "site-packages"
    assert (tmp_path / "bin" / "python").readlink() == Path("/usr/bin/python3.99")
    assert "home = /usr/bin\n" in (tmp_path / "pyvenv.cfg").read_text()


def test_a_python_in_a_home_folder_is_copied_and_needs_nothing_of_it(tmp_path: Path) -> None:
    """The copy runs with its own library, from wherever the release lies."""
    here = this_interpreter()
    home = Interpreter(here.program, here.prefix, here.version)
    if not home.is_copied:
        return
    made, moved = tmp_path / "made", tmp_path / "moved"
    made.mkdir()
    put_python(home, made)
    made.rename(moved)
    said = "import sys, ssl, sqlite3; print(sys.prefix, open('/proc/self/maps').read())"
    done = subprocess.run([moved / "bin" / "python", "-sPc", said], env={}, check=True, capture_output=True, text=True)
    assert done.stdout.startswith(f"{moved / 'python'} ")
    assert str(here.prefix) not in done.stdout


def test_a_path_in_the_program_is_replaced_by_one_of_the_same_length() -> None:
    """Nothing in an ELF file may move; a path that is too short is refused."""
    before = b"ELF\0/root/.pyenv/versions/3.13.0/lib\0rest"
    after = with_own_library(before, Path("/root/.pyenv/versions/3.13.0/lib"))
    assert len(after) == len(before)
    assert after.startswith(b"ELF\0$ORIGIN/../lib\0")
    assert after.endswith(b"\0rest")
    assert with_own_library(b"static", Path("/a/lib")) == b"static"
    with pytest.raises(NotPossible, match="too short"):
        with_own_library(b"/a/lib\0", Path("/a/lib"))
