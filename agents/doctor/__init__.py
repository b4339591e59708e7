"""What is wrong with an installation, and how to mend it; it looks at what is in force, and changes nothing."""

from .examining import CHECKS, examine
from .finding import Examined, Finding, Level

__all__ = ["CHECKS", "Examined", "Finding", "Level", "examine"]
