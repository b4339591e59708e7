"""What agents exchange: messages, tasks, artifacts, and the updates of a task.

Source: A2A v1.0 §4.1 and §4.2.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

TaskState = Literal[
    "TASK_STATE_SUBMITTED",
    "TASK_STATE_WORKING",
    "TASK_STATE_INPUT_REQUIRED",
    "TASK_STATE_AUTH_REQUIRED",
    "TASK_STATE_COMPLETED",
    "TASK_STATE_FAILED",
    "TASK_STATE_CANCELED",
    "TASK_STATE_REJECTED",
]
SUBMITTED: TaskState = "TASK_STATE_SUBMITTED"
WORKING: TaskState = "TASK_STATE_WORKING"
INPUT_REQUIRED: TaskState = "TASK_STATE_INPUT_REQUIRED"
AUTH_REQUIRED: TaskState = "TASK_STATE_AUTH_REQUIRED"
COMPLETED: TaskState = "TASK_STATE_COMPLETED"
FAILED: TaskState = "TASK_STATE_FAILED"
CANCELED: TaskState = "TASK_STATE_CANCELED"
REJECTED: TaskState = "TASK_STATE_REJECTED"
TERMINAL: frozenset[TaskState] = frozenset({COMPLETED, FAILED, CANCELED, REJECTED})
INTERRUPTED: frozenset[TaskState] = frozenset({INPUT_REQUIRED, AUTH_REQUIRED})

Role = Literal["ROLE_USER", "ROLE_AGENT"]
JsonObject = dict[str, Any]


class A2AObject(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The base of every A2A object."""


class Part(A2AObject, frozen=True, kw_only=True):
    """One piece of content: exactly one of `text`, `raw` (base64 on the wire), `url` and `data` is set."""

    text: str | UnsetType = UNSET
    raw: bytes | UnsetType = UNSET
    url: str | UnsetType = UNSET
    data: Any = UNSET
    metadata: JsonObject = {}
    filename: str = ""
    media_type: str = ""

    def __post_init__(self) -> None:
        is_set = (self.text is not UNSET) + (self.raw is not UNSET) + (self.url is not UNSET) + (self.data is not UNSET)
        if is_set != 1:
            raise ValueError("a part has exactly one of text, raw, url and data")


class Message(A2AObject, frozen=True, kw_only=True):
    """One turn of a conversation."""

    message_id: str
    role: Role
    parts: tuple[Part, ...]
    context_id: str = ""
    task_id: str = ""
    metadata: JsonObject = {}
    extensions: tuple[str, ...] = ()
    reference_task_ids: tuple[str, ...] = ()

    def text(self) -> str:
        """All text parts, a line each."""
        return "\n".join(part.text for part in self.parts if isinstance(part.text, str))


class Artifact(A2AObject, frozen=True, kw_only=True):
    """A result of a task."""

    artifact_id: str
    parts: tuple[Part, ...]
    name: str = ""
    description: str = ""
    metadata: JsonObject = {}
    extensions: tuple[str, ...] = ()


class TaskStatus(A2AObject, frozen=True, kw_only=True):
    """Where a task stands; `timestamp` is RFC 3339 UTC with milliseconds."""

    state: TaskState
    message: Message | None = None
    timestamp: str = ""


class Task(A2AObject, frozen=True, kw_only=True):
    """The unit of work an agent tracks. The id is minted by the serving side."""

    id: str
    status: TaskStatus
    context_id: str = ""
    artifacts: tuple[Artifact, ...] = ()
    history: tuple[Message, ...] = ()
    metadata: JsonObject = {}

    @property
    def is_final(self) -> bool:
        """No further update will come."""
        return self.status.state in TERMINAL


class TaskStatusUpdateEvent(A2AObject, frozen=True, kw_only=True):
    """A task's status changed."""

    task_id: str
    context_id: str
    status: TaskStatus
    metadata: JsonObject = {}


class TaskArtifactUpdateEvent(A2AObject, frozen=True, kw_only=True):
    """A task's artifact was made, or grew when `append`."""

    task_id: str
    context_id: str
    artifact: Artifact
    append: bool = False
    last_chunk: bool = False
    metadata: JsonObject = {}


class StreamResponse(A2AObject, frozen=True, kw_only=True):
    """One frame of a stream: exactly one field is set."""

    task: Task | None = None
    message: Message | None = None
    status_update: TaskStatusUpdateEvent | None = None
    artifact_update: TaskArtifactUpdateEvent | None = None

    def __post_init__(self) -> None:
        given = (self.task is not None) + (self.message is not None)
        if given + (self.status_update is not None) + (self.artifact_update is not None) != 1:
            raise ValueError("a stream response has exactly one of task, message, statusUpdate, artifactUpdate")
