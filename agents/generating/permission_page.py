"""The reference page of permissions, made from the allow lists that provisioning configures."""

from __future__ import annotations

from bus.provision.permissions import User, users_of
from schemas import names
from schemas.fleet import AgentRole, Fleet, Reviewer

_FLEET = Fleet(
    name="x",
    agents={"xx-me": AgentRole(asks=("xx-asked",), reads_cards=True), "xx-asked": AgentRole()},
    operators=("xx-operator",),
    reviewers={"xx-reviewer": Reviewer()},
    auditors=("xx-auditor",),
    witnesses=("xx-witness",),
)
"""One of each kind, with names that are replaced in the page by what they stand for."""
_MEANING: tuple[tuple[str, str, str, str], ...] = (
    ("xx-me", names.BUS_CREDENTIAL, "An agent on the bus", "Answers requests, asks who its role lets it ask, takes its tasks. `<asked>` is each agent of its `asks`; the lines with GetExtendedAgentCard and `a2a.v1.roll` are there with `reads_cards` alone."),
    ("xx-me", names.OWN_CREDENTIAL, "An agent in its own account", "Writes its events, proposes, keeps its tasks and conversations, sends and reads large parts. Without `may_propose` there is no import behind `approvals.…`: nobody hears it."),
    ("xx-operator", names.BUS_CREDENTIAL, "An operator on the bus", "Asks every agent, leaves it tasks, reads its own dead letters, calls the roll."),
    ("xx-operator", names.OWN_CREDENTIAL, "An operator in its own account", "Proposes, breaks the glass, sends large parts, hears news of proposals."),
    ("xx-reviewer", names.OWN_CREDENTIAL, "A reviewer", "Reads proposals and votes; the server writes the reviewer's name into the subject."),
    ("xx-auditor", names.OWN_CREDENTIAL, "An auditor", "Reads the trail and its archives (each by name), nothing else."),
    (names.APPROVALS, names.OWN_CREDENTIAL, "The approval service", "Counts votes. It alone may answer whoever asks it, once within 30 s, and owns nothing worth steering to."),
    (names.APPLIER, names.OWN_CREDENTIAL, "The applier", "Applies what it has itself found approved."),
    (names.APPLIER, names.BUS_CREDENTIAL, "The applier's canary", "Asks an agent that it changed whether it answers."),
    (names.APPLIER, names.TRAIL_CREDENTIAL, "The applier's look at the trail", "Whether an agent that it restarted writes its events."),
    (names.PROVISION, names.OWN_CREDENTIAL, "Provisioning under systemd", "Reads proposals and votes before it puts permissions in force."),
    (names.SEALER, names.OWN_CREDENTIAL, "The sealer in its own account", "Writes its own events."),
    (names.SEALER, names.TRAIL_CREDENTIAL, "The sealer at the trail", "Reads it, writes checkpoints, asks witnesses."),
    ("xx-witness", names.OWN_CREDENTIAL, "A witness", "Hears what it is to cosign and answers on its own subject."),
)  # fmt: skip
"""Principal, key file, what a reader calls it, and why it has these rights."""
_HEAD = """\
# Who may publish and hear what

Every key there is, and everything that it may do: what is not in its table the server refuses. `make schemas` makes this page from `bus/provision/permissions.py`, which is also what the server is configured with; a test keeps it current. What it comes to is declared a second time, by hand and by role, in `tests/matrix/`, and `make matrix` tries every cell of that on a real server: every key, one that the fleet does not know, and none, on every kind of subject, published, subscribed to and asked of JetStream's API.

`<me>` is the one who has the key; `*` is any token, `>` any number of them. [What a subject means](README.md#identity-is-a-token-of-the-subject), and [why there are these accounts](README.md#accounts). No user of a fleet has a password, may make, change, empty or list a stream or a consumer, or hears what the server tells its system account.

nats-server 2.15 lets a subscription end with `>` where the allow list ends with `*`. Nobody may publish a subject that is a token longer, so nothing more is heard by that; the matrix has cells for both.
"""


def permission_page() -> str:
    """The whole page, as Markdown."""
    users = {(user.principal, user.credential): user for user in users_of(_FLEET)}
    return _HEAD + "".join(
        _section(users[principal, credential], title, why) for principal, credential, title, why in _MEANING
    )


def _section(user: User, title: str, why: str) -> str:
    rows = "".join(
        f"| {verb} | `{_worded(subject, user.principal)}` |\n"
        for verb, subjects in (("publish", user.publish), ("subscribe", user.subscribe))
        for subject in subjects
    )
    account, key = _worded(user.account, user.principal), user.credential
    answers = f"| answer | whom it heard, once, within {user.may_respond_s} s |\n" if user.may_respond_s else ""
    return f"\n## {title}\nAccount `{account}`, key `{key}`. {why}\n\n| may | what |\n|---|---|\n{rows}{answers}"


def _worded(text: str, me: str) -> str:
    return (text.replace(me, "<me>") if me.startswith("xx-") else text).replace("xx-asked", "<asked>")
