"""The models of one agent: which one is asked, what it costs, what becomes of its failures."""

from .failover import Clock, Failover, OnBreaker
from .member import Member
from .pool import Pool
from .report import CallReport, OnCall

__all__ = ["CallReport", "Clock", "Failover", "Member", "OnBreaker", "OnCall", "Pool"]
