"""The pages: each link leads somewhere, and each page is found by whoever begins at README.md."""

from __future__ import annotations

import re
from pathlib import Path

from tests.test_layout import ROOT

_LINK = re.compile(r"\]\(([^)\s]+)\)")
_FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def _pages() -> list[Path]:
    """The pages for people; `prompt.md` are texts for models."""
    folders = [ROOT, *(ROOT / name for name in ("agents", "approvals", "nats", "systemd"))]
    return [page for folder in folders for page in sorted(folder.glob("*.md"))]


def _text(page: Path) -> str:
    """A page without its blocks of code."""
    return _FENCED.sub("", page.read_text())


def _anchors(page: Path) -> set[str]:
    """What the page's headings are called in links."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in _HEADING.findall(_text(page))}


def _links(page: Path) -> list[tuple[Path, str]]:
    """The file and the anchor of every link that stays within the repository."""
    inner = [link for link in _LINK.findall(_text(page)) if not link.startswith(("http:", "https:"))]
    halves = [link.partition("#") for link in inner]
    return [((page.parent / path).resolve() if path else page, anchor) for path, _, anchor in halves]


def test_every_link_leads_somewhere() -> None:
    """The file is there, and the heading in it."""
    broken = [
        f"{page.relative_to(ROOT)}: {target.name}#{anchor}"
        for page in _pages()
        for target, anchor in _links(page)
        if not target.exists() or (anchor and anchor not in _anchors(target))
    ]
    assert broken == []


def test_every_page_is_found_from_the_first() -> None:
    """Whoever follows links from README.md comes to each of them."""
    found: set[Path] = set()
    waiting = {ROOT / "README.md"}
    while waiting:
        page = waiting.pop()
        found.add(page)
        waiting |= {target for target, _ in _links(page) if target.suffix == ".md"} - found
    assert {page.name for page in set(_pages()) - found} == set()


def test_the_layout_of_agents_is_whole() -> None:
    """Each part of the largest folder stands in the table of its page, and nothing else."""
    table = (ROOT / "agents" / "README.md").read_text().partition("## Layout\n")[2].partition("## ")[0]
    named = set(
        re.findall(r"`([a-z_]+(?:\.py|/))`", "\n".join(line.split("|")[1] for line in table.splitlines()[2:] if line))
    )
    parts = {path.name for path in (ROOT / "agents").glob("*.py") if path.name != "__init__.py"}
    folders = {f"{path.name}/" for path in (ROOT / "agents").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert named == parts | folders
