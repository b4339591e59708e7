"""What an agent remembers: a caller's conversation, what was put away of it, and notes."""

from .desk import SessionDesk
from .memories import Memories, Told
from .memory import Forgetful, Memory
from .note_tool import NoteBook
from .of_handler import HandlerMemory, memory_of
from .recall import recall_row
from .session import Kept, Session

__all__ = [
    "Forgetful",
    "HandlerMemory",
    "Kept",
    "Memories",
    "Memory",
    "NoteBook",
    "Session",
    "SessionDesk",
    "Told",
    "memory_of",
    "recall_row",
]
