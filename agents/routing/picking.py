"""The strategy `llm`: a model picks the agent, among those that the live directory knows.

What agents say of themselves, and what the caller says, are texts of others: they stand between fences in a turn of
the user, never in the system prompt. The model's answer is worth nothing by itself: it must be one of the offered ids.
Each question goes through the layers that stand around every call of a model (`agents.loop.layers`).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any, Final

import msgspec

from agents import llm
from agents.context import Context
from agents.directory.records import AgentRecord
from agents.loop import Models
from agents.routing import finding
from agents.routing.errors import Unroutable
from agents.routing.strategies import Choice, among, skill_named, skills_of
from agents.runtime.answering.failures import for_caller
from agents.safety.fence import INSTRUCTION, fenced, new_mark
from agents.safety.keys import without_keys
from schemas.agent import Llm, Routing
from schemas.errors import UNREADABLE

_MOST_OFFERED = 50
_LONGEST = 300
"""Of what an agent says of itself or of a skill, so much is shown."""
_LONGEST_MESSAGE = 8_000
_MOST_SKILLS = 20
FORM: Final = (
    "You choose which agent a message is passed on to. You are shown the agents that are there, and the message. "
    'Answer with one JSON object and nothing else: {"agent": "<id>", "skill": "<id of its skill, or empty>"}. '
    'Where no agent fits, answer {"agent": ""}. ' + INSTRUCTION
)


class _Picked(msgspec.Struct):
    """What the model has to answer."""

    agent: str
    skill: str = ""


class Picking:
    """Asks the models that `models_of` gives for a message, as often as `max_iterations` says at most."""

    def __init__(self, routing: Routing, section: Llm, models_of: Callable[[Context], Models]) -> None:
        self._routing = routing
        self._prompt = llm.SystemPrompt(section, FORM)
        self._models_of = models_of

    async def choices(self, context: Context) -> AsyncGenerator[Choice, None]:
        """See `Strategy`. An agent that was away is not offered again."""
        known = among(await finding.everybody(context, self._routing.directory), self._routing, context)
        offered = {record.agent: record for record in known[:_MOST_OFFERED]}
        if not offered:
            raise Unroutable("no agent is online that a message could be passed on to")
        models = self._models_of(context)
        turns: list[llm.Turn] = [llm.UserTurn(text=_question(tuple(offered.values()), context))]
        for _ in range(self._routing.max_iterations):
            answer = await self._answer(models, turns)
            picked = _read(answer.text)
            if picked is not None and not picked.agent:
                break
            turns.append(answer.as_turn())
            if picked is None or picked.agent not in offered:
                turns.append(llm.UserTurn(text=f"That is not one of: {', '.join(offered)}. {FORM}"))
                continue
            skills = {skill.id for skill in offered[picked.agent].skills}
            yield Choice(picked.agent, picked.skill if picked.skill in skills else skill_named(context.message))
            del offered[picked.agent]
            if not offered:
                return
            turns.append(llm.UserTurn(text=f"It is away. Choose another one of: {', '.join(offered)}."))
        raise Unroutable(f"no agent was found to fit; online are: {skills_of(known)}")

    async def _answer(self, models: Models, turns: Sequence[llm.Turn]) -> llm.Answer:
        """What the model says.

        Raises:
            Unavailable, BudgetExceeded: no model could answer. A2AError: as the layers refuse.
        """
        question = llm.Completion(system=self._prompt, turns=tuple(turns), timeout_s=models.timeout_s)
        try:
            return await models.ask(question)
        except llm.LlmError as error:
            raise for_caller(error) from None


def _question(records: Sequence[AgentRecord], context: Context) -> str:
    mark = new_mark()
    cards = msgspec.json.encode([_card(record) for record in records]).decode()
    text = without_keys(context.message.text())[:_LONGEST_MESSAGE] or "(no text: data or files)"
    return "\n".join((
        "The agents:",
        fenced(cards, mark=mark, source="their own cards", provenance="untrusted"),
        "The message:",
        fenced(text, mark=mark, source="the caller", provenance="untrusted"),
    ))  # fmt: skip


def _card(record: AgentRecord) -> dict[str, Any]:
    skills = [
        {"id": skill.id, "description": skill.description[:_LONGEST], "tags": list(skill.tags[:_MOST_SKILLS])}
        for skill in record.skills[:_MOST_SKILLS]
    ]
    return {"agent": record.agent, "description": record.description[:_LONGEST], "skills": skills}


def _read(text: str) -> _Picked | None:
    """The answer, with or without a fence of code or words around the object; None where it is none."""
    begin, end = text.find("{"), text.rfind("}")
    try:
        return msgspec.json.decode(text[begin : end + 1], type=_Picked)
    except UNREADABLE:
        return None
