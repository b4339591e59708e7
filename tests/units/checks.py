"""Every check, in the order in which they are made: `make units` prints them, `tests/system/test_units_fleet.py` runs the booted ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tests.harness import network
from tests.harness.needs import Reason
from tests.harness.systemd_units import UNITS
from tests.units import attempts, commands, copies, keys, life, limits, removal, wellness
from tests.units.files import SERVICES, exposure, root_with_units, verify, worst_exposure
from tests.units.ground import Ground


class Check(NamedTuple):
    """One check: what was seen, or an AssertionError. `obstacle`: why this machine cannot make it."""

    name: str
    look: Callable[[Ground], str]
    obstacle: Reason | None = None


def systemd_is_silent() -> str:
    """`systemd-analyze verify` has nothing to say about any unit or drop-in."""
    with root_with_units() as (root, units):
        said = verify(root, *units)
    assert said == "", said
    return f"{len(units)} units, not a word"


def exposed(name: str) -> str:
    """The score of a service, within its bound."""
    score, bound = exposure(UNITS / name), worst_exposure(name)
    assert score <= bound, f"{score} is more than {bound}"
    return f"{score}, at most {bound}"


STATIC: dict[str, Callable[[], str]] = {
    "systemd-analyze verify": systemd_is_silent,
    **{f"exposure of {name}": lambda name=name: exposed(name) for name in SERVICES},  # type: ignore[misc]
}
BOOTED = (
    Check("every unit is up", life.every_unit_is_up),
    Check("every process tells how it is", life.every_process_tells_how_it_is),
    Check("agents answer", life.agents_answer),
    Check("the directory believes cards", life.the_directory_believes_cards),
    Check("the trail is sealed", life.the_trail_is_sealed),
    Check("a killed agent comes back", life.a_killed_agent_comes_back),
    Check("a frozen loop is replaced", life.a_frozen_loop_is_replaced),
    Check("a late loop is told of", life.a_late_loop_is_told_of),
    Check("the journal is searched by field", life.the_journal_is_searched_by_field),
    Check("the server is restarted alone", life.the_server_is_restarted_alone),
    Check("SIGTERM under load loses nothing", life.sigterm_under_load_loses_nothing),
    Check("a reload keeps what runs", life.a_reload_keeps_what_runs),
    Check("a bad configuration fails once", life.a_bad_configuration_fails_once),
    Check("memory ends the child that took it", limits.memory_ends_the_child),
    Check("memory ends the agent that took it", limits.memory_ends_the_agent),
    Check("processes are counted", limits.processes_are_counted),
    Check("the processor is shared", limits.the_processor_is_shared),
    Check("temporary files have a size", limits.temporary_files_have_a_size),
    Check("a command runs beside its agent", commands.a_command_runs_beside_its_agent),
    Check("a command sees nothing of the fleet", commands.a_command_sees_nothing_of_the_fleet),
    Check("a command cannot touch another one", commands.a_command_cannot_touch_another_one),
    Check("a command without end is ended", commands.a_command_without_end_is_ended),
    Check("only the agent may have commands run", commands.only_the_agent_may_have_commands_run),
    Check("no agent takes the places of another", commands.no_agent_takes_the_places_of_another),
    Check("attempts to connect are bounded", attempts.attempts_to_connect_are_bounded, network.obstacle()),
    Check("the doctor finds nothing wrong", wellness.the_doctor_finds_nothing_wrong),
    Check("the doctor names each fault", wellness.the_doctor_names_each_fault),
    Check("every unit stops in order", removal.every_unit_stops_in_order),
)
COPIED = Check("a fleet is copied and made again", copies.a_fleet_is_copied_and_made_again)
"""Before the last of those, where the fleet was installed; `tests/system/test_backup.py` has it without units."""
ROTATED = Check("every key is replaced", keys.every_key_is_replaced)
"""Beside that one; `tests/system/test_fleet_members.py` and `tests/contract/fleet/test_store_rotation.py` have it without units."""
REMOVED = Check("uninstalling leaves the data", removal.uninstalling_leaves_the_data)
"""The last one, where the fleet was installed; `tests/system/test_install.py` has it, and more."""
