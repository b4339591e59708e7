"""`agentbus agent new`: an agent of one's own, from a template that is an agent itself."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agents.cli.agent.new_fleet import FLEET_FILE, add_to_fleet, begin_fleet
from schemas.errors import InvalidDocument
from schemas.names import RESERVED
from schemas.subjects import AGENT_ID

TEMPLATES: Final = Path(__file__).parents[2] / "templates"
_FILE: Final = "agent.yaml"
_AGENTS: Final = "agents"
_RIGHTS = "# In fleet.yaml: "


@dataclass(frozen=True, slots=True)
class Template:
    """One template. `rights` is what the fleet file has to say of the new agent, as its author wrote it."""

    name: str
    meaning: str
    rights: str

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return TEMPLATES / self.name


def templates() -> dict[str, Template]:
    """All of them by name."""
    return {folder.name: _read(folder) for folder in sorted(TEMPLATES.iterdir()) if (folder / _FILE).is_file()}


def show_list(*, as_json: bool) -> None:
    """A line for each template."""
    known = templates().values()
    if as_json:
        print(json.dumps([{"name": each.name, "meaning": each.meaning} for each in known], indent=2))
        return
    width = max(len(each.name) for each in known)
    for each in known:
        print(f"{each.name:<{width}}  {each.meaning}")


@dataclass(frozen=True, slots=True)
class Where:
    """Where the new agent goes: into `folder`, or into the fleet whose folder is `fleet`, which is made if need be."""

    folder: Path | None = None
    fleet: Path | None = None

    @property
    def around(self) -> Path:
        """The folder in which its folder is made."""
        if self.fleet is not None:
            return self.fleet / _AGENTS
        return self.folder if self.folder is not None else _usual_folder()


def new(name: str, template: str, where: Where) -> None:
    """Make the agent's folder and say what to do next. What is there already is never touched.

    Raises:
        InvalidDocument: no such template, no name for an agent, or there is something of that name already.
    """
    chosen = _chosen(template)
    made = copied(template, name, where.around / name)
    print(f"made {made} from template {chosen.name}: {', '.join(_files_of(made))}")
    if where.fleet is not None:
        change = add_to_fleet if (where.fleet / FLEET_FILE).exists() else begin_fleet
        print(change(where.fleet, name, chosen.rights or "{}"))
    print("next:")
    for step in _next_steps(made, chosen, where):
        print(f"  {step}")


def copied(template: str, name: str, target: Path) -> Path:
    """The files of a template as those of agent `name`, in `target`, which is made.

    Raises:
        InvalidDocument: no such template, no name for an agent, or there is something already.
    """
    chosen = _chosen(template)
    _require_name(name)
    return _made(chosen, name, target)


def _chosen(template: str) -> Template:
    known = templates()
    if template not in known:
        raise InvalidDocument(f"there is no template {template!r}; there are: {', '.join(known)}")
    return known[template]


def _require_name(name: str) -> None:
    if not re.fullmatch(AGENT_ID, name):
        raise InvalidDocument(
            f"{name!r} is no name for an agent: up to 25 small letters, digits and dashes, a letter first"
        )
    if name in RESERVED:
        raise InvalidDocument(f"the name {name} belongs to the product itself; choose another")


def _usual_folder() -> Path:
    """Where a fleet keeps its agents, when this is the folder of one; else here."""
    return Path(_AGENTS) if Path(FLEET_FILE).is_file() else Path()


def _made(template: Template, name: str, target: Path) -> Path:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.mkdir()
    except FileExistsError:
        raise InvalidDocument(
            f"{target} is there already, and stays as it is; choose another name or --folder"
        ) from None
    except OSError as error:
        raise InvalidDocument(f"cannot make {target}: {error.strerror}") from None
    shutil.copytree(template.folder, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    file = target / _FILE
    lines = [line for line in file.read_text().splitlines(keepends=True) if not line.startswith(_RIGHTS)]
    file.write_text("".join(lines).replace(f"\n  id: {template.name}\n", f"\n  id: {name}\n", 1))
    return target


def _files_of(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def _next_steps(made: Path, template: Template, where: Where) -> list[str]:
    steps = [f"agentbus agent validate {made}", f"agentbus agent check {made}          # runs its tests in a sandbox"]
    if where.fleet is None:
        steps.append(f"write into agents of {FLEET_FILE}:  {made.name}: {template.rights or '{}'}")
    fleet = where.fleet or (made.parent.parent if made.parent.name == _AGENTS else None)
    if fleet is not None and (fleet / FLEET_FILE).is_file():
        steps.append(f"agentbus up --fleet {fleet}          # a new home is made of it: .agentbus, or --home")
    return steps


def _read(folder: Path) -> Template:
    comments = [line for line in (folder / _FILE).read_text().splitlines() if line.startswith("#")]
    rights = next((line.removeprefix(_RIGHTS) for line in comments if line.startswith(_RIGHTS)), "")
    return Template(folder.name, comments[0].removeprefix("# "), rights.partition("}")[0] + "}" if rights else "")
