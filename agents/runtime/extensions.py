"""The extensions of A2A that an agent's card lists: which of them a caller declares, and which it must.

Source: A2A v1.0 §3.2.6 (service parameter `A2A-Extensions`: URIs with commas) and §4.6.
"""

from __future__ import annotations

from bus.inbound import Call
from schemas import a2a, names
from schemas.errors import ExtensionSupportRequired

_NONE: frozenset[str] = frozenset()


class Extensions:
    """Of one agent."""

    def __init__(self, card: a2a.AgentCard) -> None:
        self._agent = card.name
        self._listed = frozenset(extension.uri for extension in card.capabilities.extensions)
        self._required = frozenset(extension.uri for extension in card.capabilities.extensions if extension.required)

    def declared(self, call: Call) -> frozenset[str]:
        """Those of the card that the caller declares; what it declares besides is ignored."""
        if not call.extensions:
            return _NONE
        return self._listed.intersection(uri.strip(" \t") for uri in call.extensions.split(","))

    def require(self, call: Call) -> None:
        """Return when the caller declares what the card requires.

        Raises:
            ExtensionSupportRequired: it does not; names what is missing.
        """
        if self._required and (missing := self._required - self.declared(call)):
            uris = ", ".join(sorted(missing))
            raise ExtensionSupportRequired(
                f"{self._agent} can be asked only by clients that support {uris}; "
                f"one that does sends {names.A2A_EXTENSIONS}: {uris}"
            )
