"""Where a caller wants to be notified of a task.

Source: A2A v1.0 §4.3.
"""

from __future__ import annotations

from .objects import A2AObject


class AuthenticationInfo(A2AObject, frozen=True, kw_only=True):
    """How a notification proves to its receiver where it comes from."""

    scheme: str
    credentials: str = ""


class TaskPushNotificationConfig(A2AObject, frozen=True, kw_only=True):
    """One receiver of a task's updates. The id is minted by the agent unless given."""

    url: str
    task_id: str = ""
    id: str = ""
    token: str = ""
    authentication: AuthenticationInfo | None = None
    tenant: str = ""
