"""`agentbus`, to which a few refusals of its key in a moment are for good: the product's minute is too long for a test.

python -m tests.harness.impatient agent run agent.yaml
"""

from __future__ import annotations

from bus.refusals import Patience

TIMES, FOR_S = 4, 2.0

if __name__ == "__main__":
    defaults = Patience.__init__.__kwdefaults__
    assert defaults == {"times": 20, "for_s": 60.0}
    defaults.update(times=TIMES, for_s=FOR_S)  # before `bus.connection` is imported, whose profiles have it

    from agents.cli.app import main

    main()
