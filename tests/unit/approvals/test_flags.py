"""Hints for reviewers about what a change adds."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from approvals.change.added import added_lines
from approvals.change.flags import flags_of


def flags(path: str, line: str) -> tuple[str, ...]:
    """Those of a file to which this line is added."""
    return flags_of({path: b"first\n"}, {path: f"first\n{line}\n".encode()})


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("import subprocess", "starts programs (line 2: subprocess)"),
        ("os.system('ls')", "starts programs (line 2: os.system)"),
        ("os.posix_spawn('/bin/ls', [], {})", "starts programs (line 2: os.posix_spawn)"),
        ("import socket as s", "speaks to the network (line 2: socket)"),
        ("from urllib.request import urlopen", "speaks to the network (line 2: urllib.request)"),
        ("eval (text)", "runs code that is made or found while it runs (line 2: eval)"),
        ("__import__('o' + 's')", "runs code that is made or found while it runs (line 2: __import__)"),
        ("import ctypes", "calls native code or the kernel (line 2: ctypes)"),
        ("shutil.rmtree(folder)", "deletes or moves files (line 2: shutil.rmtree)"),
        ("path.unlink()", "deletes or moves files (line 2: path.unlink)"),
        ("key = os.environ['KEY']", "reads its environment (line 2: os.environ)"),
        ("x.__globals__", "reaches into Python itself (line 2: __globals__)"),
    ],
)
def test_a_call_that_matters_is_told(line: str, sentence: str) -> None:
    """With its place, in Python; in another file the same words are only words."""
    assert flags("handler.py", line) == (f"handler.py {sentence}",)
    assert flags("prompt.md", line) == ()


@pytest.mark.parametrize(
    "line",
    [
        "re.compile(pattern)",
        "model.eval()",
        "self.executor.submit(work)",
        "evaluate(x)",
        "requests: int = 0",
        "text.replace(a, b)",
    ],
)
def test_what_only_resembles_is_not_told(line: str) -> None:
    """Methods and names that share letters with such a call."""
    assert flags("handler.py", line) == ()


@pytest.mark.parametrize(
    "char", ["\u202e", "\u2066", "\u200b", "\ufeff", "\x1b", "\r", "\u00ad", "\u3164", "\U000e0041"]
)
@pytest.mark.parametrize("path", ["handler.py", "prompt.md", "agent.yaml"])
def test_characters_that_cannot_be_seen_are_told(path: str, char: str) -> None:
    """Bidirectional, zero-width, control and filler characters, spelt out, in every kind of file."""
    (said,) = flags(path, f"access {char}level")
    assert said.startswith(f"{path} has characters that cannot be seen, or change what is seen (line 2: \\")
    assert said.isprintable()


@pytest.mark.parametrize(
    ("path", "line", "word"),
    [
        ("handler.py", "if is_\u0430dmin: pass", "is_\\u0430dmin"),
        ("prompt.md", "Go to p\u0430ypal.com", "p\\u0430ypal"),
        ("handler.py", "\u0441\u043e\u0440\u0443 = 1", "\\u0441\\u043e\\u0440\\u0443"),
        ("handler.py", "\uff45val(x)", "\\uff45val"),
        ("handler.py", "\u03bf = 1", "\\u03bf"),
    ],
)
def test_letters_that_look_like_others_are_told(path: str, line: str, word: str) -> None:
    """Two alphabets in one word; in code, names that look like ASCII, or are ASCII to Python."""
    assert f"{path} has words with letters that look like others (line 2: {word})" in flags(path, line)


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("prompt.md", "\u041f\u0440\u0438\u0432\u0435\u0442, \u0441\u043e\u0440\u0443 world"),
        ("handler.py", "x = '\u0441\u043e\u0440\u0443'  # \u0441 \u043d\u0438\u043c"),
        ("handler.py", "\u0394t = \u03bbx + 1"),
        ("handler.py", "größe = naïve"),
        ("prompt.md", "日本語 ABC 中文"),
    ],
)
def test_other_scripts_are_welcome(path: str, line: str) -> None:
    """Texts in other alphabets, in strings and comments too, accents and symbols of science."""
    assert flags(path, line) == ()


def test_files_are_told_of() -> None:
    """One that becomes executable, and a test that goes."""
    gone = {"tests/test_a.py": b"x = 1\n", "run.sh": b"", "notes.md": b""}
    after = {"tests/test_a.py": None, "run.sh": b"", "notes.md": None}
    assert flags_of(gone, after, {"run.sh"}) == ("run.sh is made executable", "tests/test_a.py, a test, is removed")


def test_many_places_make_one_sentence() -> None:
    """The first three are named."""
    (said,) = flags_of({}, {"a.py": b"import socket\n" * 9})
    assert said == ("a.py speaks to the network (line 1: socket, line 2: socket, line 3: socket, and 6 more)")


lines = st.lists(st.text(st.characters(exclude_characters="\n", codec="utf-8"), max_size=12), max_size=8)


@given(lines, lines)
@example([], ["\xa0"])
@example([], ["a\u3000b"])
def test_every_sentence_is_harmless(old: list[str], new: list[str]) -> None:
    """Whatever is in the files and their names, a flag is one printable line."""
    before, after = ({"handler.py": "\n".join(text).encode()} for text in (old, new))
    for path in ("handler.py", "".join(new)[:20] or "x"):
        found = flags_of({path: before["handler.py"]}, {path: after["handler.py"]}, {path})
        assert found
        assert all(sentence.isprintable() for sentence in found)


@given(lines, lines)
def test_added_lines_are_what_is_new(old: list[str], new: list[str]) -> None:
    """They are those that the file has more of than before, each at its place; an unchanged file has none."""
    before, after = "\n".join(old), "\n".join(new)
    added = list(added_lines({"a": before.encode()}, {"a": after.encode()}))
    assert Counter(line.text for line in added) == Counter(after.split("\n")) - Counter(before.split("\n"))
    assert all(after.split("\n")[line.number - 1] == line.text for line in added)
    assert list(added_lines({"a": after.encode()}, {"a": after.encode()})) == []
