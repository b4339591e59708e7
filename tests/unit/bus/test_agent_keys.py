"""The keys file: read again when it is another one, believed only whole, readable by every process."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from bus.credentials import create_credential
from bus.discovery.agent_keys import AgentKeys, write_agent_keys
from bus.discovery.cards import CardNotTrusted


def test_a_file_that_was_replaced_is_read_again(tmp_path: Path) -> None:
    """A new agent is known, another key counts, and an agent that was taken out is not known any more."""
    path = tmp_path / "public" / "agents.json"
    first, second = (create_credential(tmp_path / name).public_key() for name in "ab")
    keys = AgentKeys(path)
    write_agent_keys(path, {"greeter": first})
    assert keys.of("greeter") == first
    with pytest.raises(CardNotTrusted, match="no key of newcomer"):
        keys.of("newcomer")
    write_agent_keys(path, {"newcomer": first})
    assert keys.of("newcomer") == first
    write_agent_keys(path, {"newcomer": second})
    assert keys.of("newcomer") == second
    with pytest.raises(CardNotTrusted, match="agentbus provision"):
        keys.of("greeter")


def test_without_a_sound_file_nobody_is_known(tmp_path: Path) -> None:
    """A file that is missing or broken, also after a good one, is no key at all, with what to do about it."""
    path = tmp_path / "agents.json"
    key = create_credential(tmp_path / "a").public_key()
    keys = AgentKeys(path)
    for content in (None, b"", b"[]", b'{"agents": {"greeter": "U"}}', b'{"agents": {}, "more": 1}', b"\xff"):
        write_agent_keys(path, {"greeter": key})
        assert keys.of("greeter") == key
        path.unlink()
        if content is not None:
            path.write_bytes(content)
        for _ in range(2):
            with pytest.raises(CardNotTrusted, match="agentbus provision"):
                keys.of("greeter")


def test_every_process_may_read_it_and_none_but_its_owner_write_it(tmp_path: Path) -> None:
    """Public keys are no secret: the file is 0644 in a folder of 0755, whatever the umask."""
    path = tmp_path / "public" / "agents.json"
    write_agent_keys(path, {})
    assert (stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(path.parent.stat().st_mode)) == (0o644, 0o755)
