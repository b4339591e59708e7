"""References to keys: where values are found, what is refused, and that no value shows."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from agents.llm import KeyMissing, KeyUnsafe, Secret, resolve

VALUE = "sk-very-secret-0123456789"


def key_file(path: Path, mode: int = 0o600, text: str = VALUE + "\n") -> Path:
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_secret_does_not_show() -> None:
    """Neither repr, str, format nor an error with it in it shows the value; pickling is refused."""
    secret = Secret(VALUE, "env:KEY")
    shown = [repr(secret), str(secret), f"{secret}", f"{secret!r:>40}", repr([secret]), str(ValueError(secret))]
    assert all("Secret(env:KEY)" in text and VALUE not in text for text in shown)
    assert secret.reveal() == VALUE
    with pytest.raises(TypeError, match="not written anywhere"):
        pickle.dumps(secret)


def test_env_is_read_from_the_given_environment() -> None:
    """`env:NAME` is the variable, without the white space around it."""
    assert resolve("env:KEY", {"KEY": f" {VALUE}\n"}).reveal() == VALUE


def test_private_file_is_read(tmp_path: Path) -> None:
    """`file:PATH` is the content of a file that only its owner can read."""
    assert resolve(f"file:{key_file(tmp_path / 'key')}", {}).reveal() == VALUE


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    """Group or world access makes a key file unusable; the message says how to mend it."""
    path = key_file(tmp_path / "key", mode)
    with pytest.raises(KeyUnsafe, match=f"mode {mode:o}.*chmod 600"):
        resolve(f"file:{path}", {})


@pytest.mark.parametrize("name", ["openai.key", "researcher_openai.key"])
@pytest.mark.parametrize("variable", ["AGENTBUS_CREDENTIALS", "CREDENTIALS_DIRECTORY"])
def test_credential_is_found_by_both_names(tmp_path: Path, name: str, variable: str) -> None:
    """`credential:NAME` finds the plain file and the one that systemd prefixes, in either directory."""
    key_file(tmp_path / name)
    assert resolve("credential:openai.key", {variable: str(tmp_path)}).reveal() == VALUE


def test_credential_prefers_the_plain_name_and_our_directory(tmp_path: Path) -> None:
    """The plain name wins over a prefixed one, and our directory over systemd's."""
    key_file(tmp_path / "ours" / "k", text="ours")
    key_file(tmp_path / "ours" / "a_k", text="prefixed")
    key_file(tmp_path / "theirs" / "k", text="theirs")
    env = {"AGENTBUS_CREDENTIALS": str(tmp_path / "ours"), "CREDENTIALS_DIRECTORY": str(tmp_path / "theirs")}
    assert resolve("credential:k", env).reveal() == "ours"


def test_credential_of_a_longer_name_is_not_taken(tmp_path: Path) -> None:
    """`key` does not find `unit_other_key`: that is another credential."""
    key_file(tmp_path / "unit_other_key")
    with pytest.raises(KeyMissing):
        resolve("credential:key", {"AGENTBUS_CREDENTIALS": str(tmp_path)})
    assert resolve("credential:other_key", {"AGENTBUS_CREDENTIALS": str(tmp_path)}).reveal() == VALUE


def test_group_access_is_systemds_own_way(tmp_path: Path) -> None:
    """A 0440 file is accepted in systemd's directory and nowhere else."""
    key_file(tmp_path / "k", 0o440)
    assert resolve("credential:k", {"CREDENTIALS_DIRECTORY": str(tmp_path)}).reveal() == VALUE
    with pytest.raises(KeyUnsafe):
        resolve("credential:k", {"AGENTBUS_CREDENTIALS": str(tmp_path)})


@pytest.mark.parametrize(
    ("reference", "named"),
    [
        ("env:ABSENT", "env:ABSENT"),
        ("env:EMPTY", "env:EMPTY"),
        ("file:/nonexistent/key", "file:/nonexistent/key"),
        ("file:key", "file:key: write an absolute path"),
        ("file:/", "file:/"),
        ("credential:absent", "credential:absent"),
        ("credential:../key", "credential:../key"),
        ("credential:*", "credential:"),
        ("env:", "env:NAME"),
        ("vault:thing", "'vault:…' is no reference"),
    ],
)
def test_reference_that_leads_nowhere_is_named(reference: str, named: str, tmp_path: Path) -> None:
    """What is missing is said by its reference."""
    with pytest.raises(KeyMissing) as caught:
        resolve(reference, {"EMPTY": " ", "AGENTBUS_CREDENTIALS": str(tmp_path)})
    assert named in str(caught.value)


@pytest.mark.parametrize(
    "text", [f"{VALUE}\nsecond line", f"{VALUE} and more", f"{VALUE}\x00", f"{VALUE}é", "x" * 20000]
)
def test_value_that_cannot_be_a_key_is_refused_unseen(text: str, tmp_path: Path) -> None:
    """A value that would break an HTTP header is refused, and the message does not show it."""
    path = key_file(tmp_path / "key", text=text)
    with pytest.raises(KeyUnsafe) as caught:
        resolve(f"file:{path}", {})
    assert VALUE not in str(caught.value)


def test_key_in_place_of_a_reference_is_not_repeated() -> None:
    """Somebody who wrote the key itself does not find it in the log."""
    with pytest.raises(KeyMissing) as caught:
        resolve(VALUE, {})
    assert VALUE not in str(caught.value)
