"""Keys that somebody pasted: a text loses them before it becomes part of a conversation.

By the forms of `schemas.secret_forms`, which also find keys that this process has never seen. Those that it uses
itself are taken out at the very end, by `agents.llm.outgoing`.
"""

from __future__ import annotations

from schemas.secret_forms import FORMS


def without_keys(text: str) -> str:
    """`text` with `[a GitHub token, removed]` and the like in place of what has the form of a key."""
    for what, form in FORMS:
        text = form.sub(f"[{what}, removed]", text)
    return text
