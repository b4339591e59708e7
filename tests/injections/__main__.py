"""`make injections`: recall and false alarms of injection signals, on both splits of the corpus."""

from __future__ import annotations

import argparse

from agents.safety.signals import look

from .corpus import BENIGN, load
from .score import score, table


def main() -> None:
    """Print the tables; with --missed also what was missed in the training split, and never in the other one."""
    parser = argparse.ArgumentParser(prog="python -m tests.injections", description=__doc__)
    parser.add_argument("--missed", action="store_true", help="print what was missed or mistaken in train.yaml")
    if parser.parse_args().missed:
        for family, texts in load("train").items():
            wrong = [text for text in texts if bool(look(text)) == (family == BENIGN)]
            print(*(f"{family}: {text!r} {look(text)}" for text in wrong), sep="\n")
        return
    for split in ("train", "test"):
        print(f"\n{split}.yaml\n\n{table(split)}")
    total = score("test")[-1]
    print(f"\ninjections: found {total.found} of {total.texts}, false alarms {total.false} of {total.benign}")


if __name__ == "__main__":
    main()
