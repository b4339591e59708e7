"""The agent's own file: what it is, how it answers, what it may use. A section of the file is a module here."""

from .budget import BudgetLimits
from .canary import Canary
from .extension import Extension
from .file import AgentFile
from .identity import Identity, SkillId, SkillText
from .limits import Breaker, CallerLimits, Limits
from .mcp import Mcp, McpServer
from .memory import Memory
from .model_choice import ModelChoice, Price
from .models import Llm, ResponseCache
from .resilience import BulkheadLimits, RateLimit, Resilience
from .routing import AskSettings, Route, Routing
from .safety import Safety
from .tool_settings import (
    Argument,
    BashSettings,
    FileSettings,
    HttpSettings,
    SearchSettings,
    ToolSettings,
    WebSettings,
    WriteSettings,
)
from .tools import Tools

__all__ = [
    "AgentFile",
    "Argument",
    "AskSettings",
    "BashSettings",
    "Breaker",
    "BudgetLimits",
    "BulkheadLimits",
    "CallerLimits",
    "Canary",
    "Extension",
    "FileSettings",
    "HttpSettings",
    "Identity",
    "Limits",
    "Llm",
    "Mcp",
    "McpServer",
    "Memory",
    "ModelChoice",
    "Price",
    "RateLimit",
    "Resilience",
    "ResponseCache",
    "Route",
    "Routing",
    "Safety",
    "SearchSettings",
    "SkillId",
    "SkillText",
    "ToolSettings",
    "Tools",
    "WebSettings",
    "WriteSettings",
]
