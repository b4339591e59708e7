"""The agent's own file: what it is, how it answers, what it may use. A section of the file is a module here.

A section is imported when it is asked for: commands and system processes that read no agent's file start without them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas.lazy import from_modules

if TYPE_CHECKING:
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
from .budget import BudgetLimits
from .canary import Canary
from .extension import Extension
from .file import AgentFile
from .http import Http
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
    "Http",
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

_WHERE = {
    "AgentFile": "file",
    "Argument": "tool_settings",
    "AskSettings": "routing",
    "BashSettings": "tool_settings",
    "Breaker": "limits",
    "BudgetLimits": "budget",
    "BulkheadLimits": "resilience",
    "CallerLimits": "limits",
    "Canary": "canary",
    "Extension": "extension",
    "FileSettings": "tool_settings",
    "HttpSettings": "tool_settings",
    "Identity": "identity",
    "Limits": "limits",
    "Llm": "models",
    "Mcp": "mcp",
    "McpServer": "mcp",
    "Memory": "memory",
    "ModelChoice": "model_choice",
    "Price": "model_choice",
    "RateLimit": "resilience",
    "Resilience": "resilience",
    "ResponseCache": "models",
    "Route": "routing",
    "Routing": "routing",
    "Safety": "safety",
    "SearchSettings": "tool_settings",
    "SkillId": "identity",
    "SkillText": "identity",
    "ToolSettings": "tool_settings",
    "Tools": "tools",
    "WebSettings": "tool_settings",
    "WriteSettings": "tool_settings",
}

__getattr__ = from_modules(__name__, _WHERE)
