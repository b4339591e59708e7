"""What a server answered to a call, as text for the model: its texts and its data; of other content only what it is.

The text is untrusted, whatever the server: the loop fences it.

Source: MCP 2025-11-25, Tools, Tool Result.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from schemas.text import harmless

MAX_CHARS: Final = 200_000
"""Of all texts together; what a model gets of it the toolbox decides."""
_NAME_CHARS: Final = 200
NOTHING: Final = "(no text)"


def text_of(content: list[Any], structured: Any) -> str:
    """The texts of a result in their order. Its data stand for them where there is no text."""
    told = [_told(block) for block in content]
    if structured is not None and not any(getattr(block, "type", "") == "text" for block in content):
        told.append(msgspec.json.encode(structured).decode())
    text = "\n".join(part for part in told if part)
    return harmless(text[:MAX_CHARS], keep="\n\r\t") or NOTHING


def _told(block: Any) -> str:
    kind = getattr(block, "type", "")
    if kind == "text":
        return str(block.text)
    if kind == "resource" and isinstance(getattr(block.resource, "text", None), str):
        return str(block.resource.text)
    about = [str(kind), *_about(block)]
    return f"[not shown: {', '.join(about)}]"


def _about(block: Any) -> list[str]:
    """What is known of something that is not shown."""
    inside = getattr(block, "resource", block)
    data = getattr(inside, "data", None) or getattr(inside, "blob", None)
    words = [getattr(inside, "uri", None), getattr(inside, "mime_type", None)]
    size = [f"{len(data) * 3 // 4} bytes"] if isinstance(data, str) else []
    return [str(word)[:_NAME_CHARS] for word in words if word] + size
