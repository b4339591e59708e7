"""An agent that says which change of it runs."""

from agents.skill import Context, skill

CHANGE = "none"


@skill(description="Says which change runs.")
async def which(question: str, ctx: Context) -> str:
    """The same answer to whatever question."""
    return f"change {CHANGE} heard {len(question)} characters"
