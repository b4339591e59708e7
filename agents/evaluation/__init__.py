"""How well an agent does: cases with expected answers, scored, and the result as a record for reviewers."""

from .report import Report, Tried
from .running import Asked, evaluate
from .scoring import Score, score

__all__ = ["Asked", "Report", "Score", "Tried", "evaluate", "score"]
