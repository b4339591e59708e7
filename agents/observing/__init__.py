"""One installation as it is now: where it lies, which processes it has, who starts them, and who answers on the bus."""

from .place import Place, Runner, place_of
from .processes import Process, processes_of
from .states import NotRunning, State, states_of

__all__ = ["NotRunning", "Place", "Process", "Runner", "State", "place_of", "processes_of", "states_of"]
