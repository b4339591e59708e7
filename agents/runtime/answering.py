"""Which of the two ways an agent answers, made from its file."""

from __future__ import annotations

from agents import llm
from agents.memory import Memories
from agents.runtime.answers import Answering, SkillAnswering
from agents.runtime.load import Loaded
from agents.runtime.model_answers import ModelAnswering
from agents.tools.catalogue import Toolbox
from bus.audit.emit import Audit
from bus.connection import Connection
from bus.sessions import SessionStore


def answering_of(agent: Loaded, audit: Audit, own: Connection) -> Answering:
    """The way of answering that the agent's file names; close it at the end. `own` is the connection to its account."""
    section = agent.file.llm
    if section is None:
        return SkillAnswering(agent.skills)

    def on_call(report: llm.CallReport) -> None:
        usage = report.usage
        cost_usd = None if report.cost_usd is None else round(float(report.cost_usd), 9)
        audit.emit(
            "llm.called", action="complete", resource=f"{report.provider}/{report.model}", outcome=report.outcome,
            reason=report.reason, duration_ms=round(report.duration_ms, 3),
            metadata={
                "input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens, "cost_usd": cost_usd,
            },
        )  # fmt: skip

    pool = llm.Pool.from_choices(section.pool, request_timeout_s=section.request_timeout_s, on_call=on_call)
    remembers = agent.file.memory
    memories = Memories(remembers, section, SessionStore(own), audit, has_recall=False) if remembers else None
    return ModelAnswering(agent.file, pool, Toolbox(agent.file.tools, audit), memories)
