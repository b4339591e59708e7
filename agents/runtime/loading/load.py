"""From an agent's folder to what runs: its file, its handler's skills, its card."""

from __future__ import annotations

import difflib
import importlib.util
import os
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.lifespan import Lifespan
from agents.mcp.config import with_servers
from agents.runtime.loading.agent_folder import AgentFolder, read_folder
from agents.runtime.loading.declared import Declared
from agents.runtime.loading.siblings import find_siblings
from agents.runtime.loading.typed import FILE, TEXT, json_schema
from agents.skill import Skill
from schemas import a2a
from schemas.agent import AgentFile, SkillText
from schemas.agent.tools import OWN
from schemas.errors import InvalidDocument, Problem
from schemas.sessions import SESSIONS_URI


@dataclass(frozen=True, slots=True)
class Loaded:
    """An agent's folder, read. `skills` is empty where a model answers."""

    file: AgentFile
    path: Path
    """The agent's file."""
    folder: Path
    skills: tuple[Skill, ...]
    lifespans: tuple[Lifespan, ...] = ()

    @property
    def id(self) -> str:
        """The agent's id."""
        return self.file.agent.id


def load_agent(path: Path, environment: Mapping[str, str] | None = None) -> Loaded:
    """Read the agent whose file or folder is `path`, following the live link once, and import its handler.

    The variables of its file come from `environment`, that of this process unless given.

    Raises:
        InvalidDocument: the file or the handler cannot be used; every problem of the file is named at once.
    """
    return load_folder(read_folder(path, os.environ if environment is None else environment))


def load_folder(read: AgentFolder) -> Loaded:
    """Import the handler of an agent whose file was read. Raises as `load_agent`."""
    file = with_servers(read.file, read.folder)
    found = _handler(read.folder, file.handler) if file.handler else ()
    skills = tuple(item for item in found if isinstance(item, Skill))
    lifespans = tuple(item for item in found if isinstance(item, Lifespan))
    _require_own_tools(read)
    return Loaded(file, read.path, read.folder, skills, lifespans)


def _require_own_tools(read: AgentFolder) -> None:
    """Import the tools in the agent's folder: a change that breaks one is refused before anybody reads it."""
    own = [name for name in read.file.tools.named if OWN.fullmatch(name)] if read.file.llm else []
    if not own:
        return
    from agents.tools.errors import ToolUnusable, told_of  # as in `answering`: not for processes without a model
    from agents.tools.others import other_row

    problems = []
    for name in own:
        try:
            other_row(name, read.folder)
        except ToolUnusable as error:
            line = read.read.written.line_of(("tools", name))
            problems.append(Problem(str(read.path), line, f"tools.{name}", told_of(name, error)))
    if problems:
        raise InvalidDocument.because(problems)


def _handler(folder: Path, handler: str) -> tuple[Skill | Lifespan, ...]:
    name, _, attribute = handler.partition(":")
    module = _module(folder / name)
    found = getattr(module, attribute, None)
    items = tuple(found) if isinstance(found, list | tuple) else (found,)
    if not any(isinstance(item, Skill) for item in items) or not all(
        isinstance(item, Skill | Lifespan) for item in items
    ):
        raise InvalidDocument(
            f"{folder / name}: {attribute} is not a function decorated with @skill, nor a list of them (with or without a @lifespan)"
            + _other_name(module, attribute)
        )
    return items


def _module(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"agentbus_handler_{path.stem}", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise InvalidDocument(f"handler file {path} does not exist")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # type hints of the handler are resolved through its module
    sys.dont_write_bytecode = True  # the release folder is read-only
    find_siblings(path.parent)
    try:
        spec.loader.exec_module(module)
    except InvalidDocument as error:
        raise _at(path, _line_in(path, error), str(error)) from error
    except _WHEN_IMPORTING as error:
        said = f"cannot be imported: {type(error).__name__}: {error}"
        raise _at(path, _line_in(path, error), said) from error
    return module


_WHEN_IMPORTING = (
    ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, NameError, OSError, RuntimeError,
    SyntaxError, TypeError, ValueError,
)  # fmt: skip
"""What a module's own lines may raise; anything else is left to whoever called."""


def _at(path: Path, line: int, message: str) -> InvalidDocument:
    return InvalidDocument.because([Problem(str(path), line, "", " ".join(message.split()))])


def _line_in(path: Path, error: BaseException) -> int:
    """The last line of the handler that was at work; 0 where none was."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return error.lineno or 0
    frames = traceback.extract_tb(error.__traceback__)
    return next((frame.lineno or 0 for frame in reversed(frames) if frame.filename == str(path)), 0)


def _other_name(module: Any, wanted: str) -> str:
    """The skill that was meant, as far as one can tell."""
    named = [name for name, value in vars(module).items() if isinstance(value, Skill)]
    near = difflib.get_close_matches(wanted, named, n=1, cutoff=0.0) if not hasattr(module, wanted) else []
    return f"; did you mean {near[0]!r}?" if near else ""


def card_of(agent: Loaded, tree: str, instance: str) -> a2a.AgentCard:
    """What the agent says of itself; typed skills with their JSON Schemas, and the release that runs."""
    identity = agent.file.agent
    schemas = _schemas(agent)
    release = a2a.AgentExtension(
        uri=a2a.RELEASE_URI,
        description="the configuration this process runs",
        params={"tree": tree, "instance": instance},
    )
    typed = a2a.AgentExtension(
        uri=a2a.TYPED_SKILLS_URI, description="JSON Schemas of the skills' data parts", params={"skills": schemas}
    )
    interface = a2a.AgentInterface(
        url=f"nats:a2a.v1.req.{identity.id}", protocol_binding=a2a.BINDING_URI, protocol_version=a2a.PROTOCOL_VERSION
    )
    return a2a.AgentCard(
        name=identity.id,
        description=identity.description,
        version=identity.version,
        supported_interfaces=(interface,),
        default_input_modes=_TEXT_MODES if agent.file.routing is None else _ANY_MODES,
        default_output_modes=_TEXT_MODES if agent.file.routing is None else _ANY_MODES,
        capabilities=a2a.AgentCapabilities(
            streaming=True,
            push_notifications=True,
            extended_agent_card=True,
            extensions=((release, typed, _LARGE) if schemas else (release, _LARGE))
            + _kept(agent.file)
            + _own_extensions(agent.file),
        ),
        skills=tuple(_skill_cards(agent)),
    )


def _own_extensions(file: AgentFile) -> tuple[a2a.AgentExtension, ...]:
    return tuple(
        a2a.AgentExtension(uri=own.uri, description=own.description, required=own.required, params=own.params)
        for own in file.extensions
    )


def _kept(file: AgentFile) -> tuple[a2a.AgentExtension, ...]:
    return (_SESSIONS,) if file.memory is not None or file.tools.note is not None else ()


_SESSIONS = a2a.AgentExtension(uri=SESSIONS_URI, description="what is remembered of a caller is its to read and delete")
_LARGE = a2a.AgentExtension(uri=a2a.LARGE_PARTS_URI, description="what is too large for a message is stored beside it")
_TEXT_MODES, _DATA_MODES = ("text/plain",), ("application/json",)
_ANY_MODES = (*_TEXT_MODES, *_DATA_MODES, "application/octet-stream")
"""Of a router: it takes and gives whatever those do to whom it passes on."""
_MODES: dict[type, tuple[str, ...]] = {TEXT: _TEXT_MODES, FILE: ("application/octet-stream",)}
"""Of the types that have no schema."""


def _schemas(agent: Loaded) -> a2a.JsonObject:
    """By skill, of those that take or give data, or come from a handler."""
    declared = {skill.id: Declared(skill).schemas for skill in agent.file.agent.skills}
    of_handler = {skill.id: _schemas_of(skill) for skill in agent.skills}
    return {name: schemas for name, schemas in declared.items() if schemas} | of_handler


def _schemas_of(skill: Skill) -> a2a.JsonObject:
    sides = {"input": skill.input, "output": skill.output}
    return {side: json_schema(kind) for side, kind in sides.items() if kind not in _MODES}


def _skill_cards(agent: Loaded) -> list[a2a.AgentSkill]:
    """The handler's first, which answers what names none; words of the file stand before those of the handler."""
    of_handler = {skill.id: skill for skill in agent.skills}
    described = {text.id: text for text in agent.file.agent.skills}
    return [
        _skill_card(described.get(name) or of_handler[name], of_handler.get(name)) for name in of_handler | described
    ]


def _skill_card(words: Skill | SkillText, typed: Skill | None) -> a2a.AgentSkill:
    """Without modes, the card's defaults count."""
    if typed is not None:
        inputs, outputs = _MODES.get(typed.input, _DATA_MODES), _MODES.get(typed.output, _DATA_MODES)
    else:
        inputs, outputs = _DATA_MODES if words.input else (), _DATA_MODES if words.output else ()
    return a2a.AgentSkill(
        id=words.id, name=words.name, description=words.description, tags=words.tags, examples=words.examples,
        input_modes=inputs, output_modes=outputs,
    )  # fmt: skip
