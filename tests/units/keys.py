"""Every key of a fleet of units is replaced by root: what can be while it runs, then the store's with the units stopped."""

from __future__ import annotations

from tests.units.ground import HOME, Ground

_ALL = f"agentbus fleet rotate --all --home {HOME}"
_STORE = (
    f"systemctl stop agentbus.target nats-server && agentbus fleet rotate --store --home {HOME} && "
    "systemctl start agentbus.target"
)
_STRANGERS = f"find {HOME}/nats/jetstream ! -user nats | head -3"


def every_key_is_replaced(ground: Ground) -> str:
    """The sealer hands over and seals on, agents answer, and the store under its new key is the server's user's."""
    machine = ground.machine
    said = machine.run(_ALL, timeout_s=240).check()
    assert "sealer" in said.partition("started again: ")[2], said
    assert ground.ask("greeter", "hello")
    said = machine.run(_STORE, timeout_s=240).check()
    assert "the store is under a new key" in said, said
    assert ground.ask("greeter", "hello")
    assert machine.run(_STRANGERS).check() == ""
    verified = machine.run(f"agentbus audit verify --home {HOME}", timeout_s=60).check()
    assert verified.startswith("sound"), verified
    return verified.splitlines()[0]
