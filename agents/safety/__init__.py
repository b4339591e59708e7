"""What may reach a model, and as what: limits of messages, where a text comes from, how it is shown.

The defence is structural: a caller's text has another type than the operator's prompt, a model has the tools
that its file names and no others, and people approve what matters. What is here keeps the types honest.
"""

from .fence import fenced
from .gate import Gate
from .intake import Intake
from .provenance import Provenance, least

__all__ = ["Gate", "Intake", "Provenance", "fenced", "least"]
