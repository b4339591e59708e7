"""What an agent's own file may be called."""

from __future__ import annotations

from typing import Final

FILE_NAMES: Final = ("agent.yaml", "agent.toml")
"""An agent has exactly one of them."""
