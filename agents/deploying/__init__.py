"""One agent elsewhere than in a systemd unit: the same files, in the envelope that another platform takes."""

from .envelope import Envelope, Wanted, envelope_of
from .rendered import Rendered, RenderedFile
from .targets import TARGETS

__all__ = ["TARGETS", "Envelope", "Rendered", "RenderedFile", "Wanted", "envelope_of"]
