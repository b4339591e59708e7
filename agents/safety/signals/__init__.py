"""Signals: texts that look like instructions to a model. They inform people; they are no defence.

How much they find, and how often they are wrong, is measured on texts that they were not written for:
`make injections`. No I/O.
"""

from .look import Signal, look

__all__ = ["Signal", "look"]
