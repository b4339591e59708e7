"""What an agent with a model remembers: a caller's conversation, what was put away of it, and notes."""

from .memory import Forgetful, Memory
from .session import Kept, Session

__all__ = ["Forgetful", "Kept", "Memory", "Session"]
