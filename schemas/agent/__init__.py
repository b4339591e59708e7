"""The agent's own file: what it is, how it answers, what it may use. A section of the file is a module here."""

from .budget import BudgetLimits
from .canary import Canary
from .extension import Extension
from .file import AgentFile
from .identity import Identity, SkillId, SkillText
from .limits import Breaker, CallerLimits, Limits
from .memory import Memory
from .models import Llm, ModelChoice, Price
from .safety import Safety

__all__ = [
    "AgentFile",
    "Breaker",
    "BudgetLimits",
    "CallerLimits",
    "Canary",
    "Extension",
    "Identity",
    "Limits",
    "Llm",
    "Memory",
    "ModelChoice",
    "Price",
    "Safety",
    "SkillId",
    "SkillText",
]
