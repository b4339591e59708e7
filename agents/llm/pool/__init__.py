"""The models of one agent: which one is asked, what it costs, what becomes of its failures."""

from .member import Member
from .pool import Pool
from .report import CallReport, OnCall

__all__ = ["CallReport", "Member", "OnCall", "Pool"]
