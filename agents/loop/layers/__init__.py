"""What stands around every call of a model and of a tool: audit, security, rate limit, bulkhead, breaker, timeout."""

from .order import ORDER, judging, layers_of, within

__all__ = ["ORDER", "judging", "layers_of", "within"]
