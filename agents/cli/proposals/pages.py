"""How proposals are printed for operators: 80 columns, nothing that their authors wrote left alive."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

from agents.cli.shown import is_colourful
from approvals.change.calls import lines_of
from schemas.approvals import Standing, ToolCall
from schemas.ids import rfc3339
from schemas.text import harmless

WIDTH = 80
_COLOURS = {
    **dict.fromkeys(("applied", "confirmed"), "32"),
    **dict.fromkeys(("rejected", "refused", "rolled_back", "overturned", "invalid"), "31"),
    **dict.fromkeys(("open", "in_force", "lifted"), "35"),
    **dict.fromkeys(("withdrawn", "expired"), "33"),
    "approved": "36",
}


def table(found: Sequence[Standing]) -> str:
    """A row per proposal."""
    if not found:
        return "no proposals"
    rows = [f"{'ID':<11}{'AGENT':<16}{'KIND':<10}{'STATE':<12}{'VOTES':<7}PROPOSED"]
    rows += [
        f"{standing.proposal:<11}{cut(harmless(standing.agent or '(fleet)'), 15):<16}{standing.kind:<10}"
        f"{_state(standing.state, 12)}{f'{standing.approvals}/{standing.quorum}':<7}{_second(standing.proposed_at_ns)}"
        for standing in found
    ]
    return "\n".join(rows)


def page(found: dict[str, Any]) -> str:
    """Everything about one, from its history as JSON."""
    proposal = found["proposal"]
    lines = [
        f"{harmless(found['id'])} is {_state(found['state'])}, {found['approvals']} of {found['quorum']} approvals",
        *_field("what", _about(found["proposer"], proposal)),
        *_field("why", proposal["rationale"] or "(none given)"),
        *_field("proposed", found["proposed"]),
        *_field("expires", found["expires"] if found["state"] == "open" else ""),
        *[line for vote in found["votes"] for line in _field("vote", _vote(vote))],
        *_field("note", found["note"]),
        *_field("checks", found["checks"]),
        *_field("commit", found["commit"]),
        *_field("digest", found["digest"]),
        "",
        *[cut(harmless(line, keep="\t").expandtabs(4), WIDTH) for line in proposal["diff"].splitlines()],
        *_call(proposal),
    ]
    return "\n".join(lines).rstrip()


def _about(proposer: str, proposal: dict[str, Any]) -> str:
    if "call" in proposal:
        return f"{proposer} asks to run its tool {proposal['call']['tool']} once, with these arguments"
    return f"{proposer} asks to change the {proposal['kind']} of {proposal['agent'] or 'the fleet'}"


def _call(proposal: dict[str, Any]) -> list[str]:
    if "call" not in proposal:
        return []
    return [f"  {harmless(line)}" for line in lines_of(ToolCall(**proposal["call"]))]


def state_in_words(standing: Standing) -> str:
    """Its state in a sentence, with the reason."""
    said = f"{standing.proposal} is {_state(standing.state)}" + (
        f": {harmless(standing.note)}" if standing.note else ""
    )
    return "\n".join(textwrap.wrap(said, WIDTH, subsequent_indent="  ")) or said


def news(standing: Standing, at_ns: int) -> str:
    """One line for a proposal that is new or has changed."""
    head = f"{_second(at_ns)}  {standing.proposal}  {_state(standing.state, 11)}"
    about = f"{standing.kind} of {standing.agent or 'the fleet'}"
    more = standing.note or standing.rationale
    room = WIDTH - len(f"{_second(at_ns)}  {standing.proposal}  {'':<11}  ")
    return f"{head}  {cut(harmless(f'{about}: {more}' if more else about), room)}"


def cut(text: str, width: int) -> str:
    """`text` in at most `width` columns."""
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _state(state: str, width: int = 0) -> str:
    """The state in words, padded; in colour where a person looks."""
    words = f"{state.replace('_', ' '):<{width}}"
    colour = _COLOURS.get(state, "") if is_colourful() else ""
    return f"\x1b[{colour}m{words}\x1b[0m" if colour else words


def _vote(vote: dict[str, Any]) -> str:
    return f"{vote['reviewer']}: {vote['verb']}" + (f", {vote['reason']}" if vote["reason"] else "")


def _field(name: str, text: str) -> list[str]:
    return (
        textwrap.wrap(harmless(text), WIDTH, initial_indent=f"{name:<10}", subsequent_indent=" " * 10) if text else []
    )


def _second(at_ns: int) -> str:
    return f"{rfc3339(at_ns)[:19]}Z"
