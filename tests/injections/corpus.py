"""The corpus: texts by family, in two splits that share nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

import yaml

from agents.safety.signals.families import Family

Split = Literal["train", "test"]
BENIGN = "benign"
FAMILIES: tuple[Family, ...] = get_args(Family)


def load(split: Split) -> dict[str, list[str]]:
    """The texts of a split: a list for each family, and one of texts that are no injections."""
    texts: dict[str, list[str]] = yaml.safe_load((Path(__file__).parent / f"{split}.yaml").read_text())
    if set(texts) != {*FAMILIES, BENIGN}:
        raise ValueError(f"{split}.yaml has other families than there are: {sorted(texts)}")
    return texts
