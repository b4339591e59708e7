"""How well an agent does: cases with expected answers, scored, and the result as a record for reviewers."""

from .report import Report, Tried
from .running import evaluate
from .scoring import Score, score

__all__ = ["Report", "Score", "Tried", "evaluate", "score"]
