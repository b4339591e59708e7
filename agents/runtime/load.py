"""From an agent's folder to what runs: its file, its handler's skills, its card."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.lifespan import Lifespan
from agents.runtime.typed import TEXT, json_schema
from agents.skill import Skill
from schemas import a2a
from schemas.agent import AgentFile
from schemas.documents import parse_yaml
from schemas.errors import InvalidDocument


@dataclass(frozen=True, slots=True)
class Loaded:
    """An agent's folder, read. `skills` is empty where a model answers."""

    file: AgentFile
    folder: Path
    skills: tuple[Skill, ...]
    lifespans: tuple[Lifespan, ...] = ()

    @property
    def id(self) -> str:
        """The agent's id."""
        return self.file.agent.id


def load_agent(path: Path) -> Loaded:
    """Read `agent.yaml` at `path`, following the live link once, and import its handler.

    Raises:
        InvalidDocument: the file or the handler cannot be used; every problem of the file is named at once.
    """
    try:
        folder = path.parent.resolve(strict=True)
        text = (folder / path.name).read_text()
    except OSError as error:
        raise InvalidDocument(f"cannot read {path}: {error.strerror}") from None
    file = parse_yaml(text, AgentFile, str(path))
    found = _handler(folder, file.handler) if file.handler else ()
    skills = tuple(item for item in found if isinstance(item, Skill))
    return Loaded(file, folder, skills, tuple(item for item in found if isinstance(item, Lifespan)))


def _handler(folder: Path, handler: str) -> tuple[Skill | Lifespan, ...]:
    name, _, attribute = handler.partition(":")
    found = getattr(_module(folder / name), attribute, None)
    items = tuple(found) if isinstance(found, list | tuple) else (found,)
    if not any(isinstance(item, Skill) for item in items) or not all(
        isinstance(item, Skill | Lifespan) for item in items
    ):
        raise InvalidDocument(
            f"{folder / name}: {attribute} is not a function decorated with @skill, nor a list of them (with or without a @lifespan)"
        )
    return items


def _module(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"agentbus_handler_{path.stem}", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise InvalidDocument(f"handler file {path} does not exist")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # type hints of the handler are resolved through its module
    sys.dont_write_bytecode = True  # the release folder is read-only
    try:
        spec.loader.exec_module(module)
    except (ImportError, SyntaxError, NameError, AttributeError, TypeError) as error:
        raise InvalidDocument(f"handler {path} cannot be imported: {error}") from error
    return module


def card_of(agent: Loaded, tree: str, instance: str) -> a2a.AgentCard:
    """What the agent says of itself; typed skills with their JSON Schemas, and the release that runs."""
    identity = agent.file.agent
    schemas = {skill.id: _schemas(skill) for skill in agent.skills}
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
        default_input_modes=_TEXT_MODES,
        default_output_modes=_TEXT_MODES,
        capabilities=a2a.AgentCapabilities(
            streaming=True,
            push_notifications=True,
            extended_agent_card=True,
            extensions=((release, typed) if agent.skills else (release,)) + _own_extensions(agent.file),
        ),
        skills=tuple(_skill_cards(agent)),
    )


def _own_extensions(file: AgentFile) -> tuple[a2a.AgentExtension, ...]:
    return tuple(
        a2a.AgentExtension(uri=own.uri, description=own.description, required=own.required, params=own.params)
        for own in file.extensions
    )


_TEXT_MODES, _DATA_MODES = ("text/plain",), ("application/json",)


def _schemas(skill: Skill) -> a2a.JsonObject:
    sides = {"input": skill.input, "output": skill.output}
    return {side: json_schema(kind) for side, kind in sides.items() if kind is not TEXT}


def _skill_cards(agent: Loaded) -> list[a2a.AgentSkill]:
    described = [
        a2a.AgentSkill(id=s.id, name=s.name, description=s.description, tags=s.tags, examples=s.examples)
        for s in agent.file.agent.skills
    ]
    return described + [
        a2a.AgentSkill(
            id=s.id, name=s.name, description=s.description, tags=s.tags, examples=s.examples,
            input_modes=_TEXT_MODES if s.input is TEXT else _DATA_MODES,
            output_modes=_TEXT_MODES if s.output is TEXT else _DATA_MODES,
        )
        for s in agent.skills
        if s.id not in {text.id for text in agent.file.agent.skills}
    ]  # fmt: skip
