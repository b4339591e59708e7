"""What signals find in a split of the corpus, family by family."""

from __future__ import annotations

from typing import NamedTuple

from agents.safety.signals import look

from .corpus import BENIGN, FAMILIES, Split, load


class Line(NamedTuple):
    """Of a family: texts of it in which any signal was seen, and ordinary texts in which this one was seen."""

    family: str
    found: int
    texts: int
    false: int
    benign: int

    @property
    def recall(self) -> float:
        """The share of the family's texts that was found."""
        return self.found / self.texts


def score(split: Split) -> tuple[Line, ...]:
    """A line for each family, and one of them all, last."""
    texts = load(split)
    benign = [{signal.family for signal in look(text)} for text in texts[BENIGN]]
    lines = [
        Line(family, sum(bool(look(text)) for text in texts[family]), len(texts[family]),
             sum(family in seen for seen in benign), len(benign))
        for family in FAMILIES
    ]  # fmt: skip
    total = Line("all", sum(line.found for line in lines), sum(line.texts for line in lines),
                 sum(map(bool, benign)), len(benign))  # fmt: skip
    return (*lines, total)


def table(split: Split) -> str:
    """The lines as a table in Markdown."""
    rows = [
        f"| {line.family} | {line.found}/{line.texts} | {line.recall:.0%} | {line.false}/{line.benign} |"
        for line in score(split)
    ]
    return "\n".join(("| family | found | recall | false alarms |", "|---|---|---|---|", *rows))
