"""`agentbus agent health`: how a process says that it is, without a client for HTTP."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agents.cli.run import EX_NOPERM, EX_TEMPFAIL, STOPPED
from agents.cli.shown import is_colourful
from approvals.applying.control import process_of
from bus.health.asking import Told, Where, ask, doors_of, own_door
from bus.health.doors import Doors
from bus.surroundings import Home
from schemas.text import harmless

_COLOURS = {"ok": "32", "degraded": "33", "failed": "31"}


def health(root: Path, name: str, slot: int, *, detailed: bool, as_json: bool) -> None:
    """Print how the process is; exit 0 when it is ready, 1 when not, 3 when it does not run, 75 when it stands still."""
    where = _where(Home(root.absolute()), name, slot)
    if where is None:
        raise SystemExit(_said(STOPPED, f"{name} does not run here", as_json=as_json))
    try:
        told = ask(where, "/health?detailed=true")
        is_ready = ask(where, "/health/ready").status == 200
    except TimeoutError:
        raise SystemExit(
            _said(EX_TEMPFAIL, f"{name} does not answer: its event loop stands still", as_json=as_json)
        ) from None
    except PermissionError:
        raise SystemExit(_said(EX_NOPERM, f"you may not ask {name}; try as root", as_json=as_json)) from None
    except OSError:
        raise SystemExit(
            _said(STOPPED, f"{name} does not run; nobody listens at {_place(where)}", as_json=as_json)
        ) from None
    if as_json:
        print(json.dumps({**_kept(told, detailed=detailed), "ready": is_ready}))
    else:
        _show(name, told.body, is_ready=is_ready, detailed=detailed)
    raise SystemExit(0 if is_ready else 1)


def _where(home: Home, name: str, slot: int) -> Where | None:
    found = [path for process in (process_of(name, slot), name) for path in doors_of(home, process)]
    return found[0] if found else own_door(Doors.from_environment())


def _place(where: Where) -> str:
    return str(where) if isinstance(where, Path) else f"{where[0]}:{where[1]}"


def _said(code: int, text: str, *, as_json: bool) -> int:
    print(json.dumps({"ready": False, "problem": text}) if as_json else text)
    return code


def _kept(told: Told, *, detailed: bool) -> dict[str, Any]:
    return {key: value for key, value in told.body.items() if detailed or key != "components"}


def _show(name: str, body: Mapping[str, Any], *, is_ready: bool, detailed: bool) -> None:
    word = "ready" if is_ready else "not ready"
    state, version = harmless(str(body.get("status", "?"))), harmless(str(body.get("version", "?")))
    print(f"{name} is {word} ({_coloured(state)}), version {version}, up {float(body.get('uptime_s', 0)):.0f} s")
    for component, finding in body.get("components", {}).items():
        state = harmless(str(finding.get("status", "?")))
        if detailed or state != "ok":
            print(
                f"  {harmless(component):<9}{_coloured(f'{state:<10}')}{harmless(finding.get('reason', ''))}".rstrip()
            )


def _coloured(state: str) -> str:
    colour = _COLOURS.get(state.strip(), "") if is_colourful() else ""
    return f"\x1b[{colour}m{state}\x1b[0m" if colour else state
