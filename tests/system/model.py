"""A greeter that asks a test's model server."""

from __future__ import annotations

from pathlib import Path

from tests.harness.fake_llm import FakeLlm


def with_model(llm: FakeLlm, source: Path) -> None:
    """Give the greeter of the fleet's files in `source` the model server `llm`, and nothing else, to ask."""
    path = source / "agents" / "greeter" / "agent.yaml"
    text = path.read_text()
    start, end = text.index("    - {provider: anthropic"), text.index("tools:")
    key = source / "key"
    key.write_text("fake-key")
    key.chmod(0o600)
    held = f"    - {{provider: openai, model: held, api_key: 'file:{key}', base_url: '{llm.openai_url}'}}\n"
    path.write_text(text[:start] + held + text[end:])
