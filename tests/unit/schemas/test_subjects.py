"""Subjects are identities: building and parsing are inverse, and what is not plain is refused."""

from __future__ import annotations

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import InvalidSubject
from schemas.subjects import (
    AGENT_ID,
    BUCKET_STREAM,
    CHUNK,
    FAMILIES,
    OPERATION,
    SLOT,
    TOKEN,
    Request,
    Subject,
    require_token,
)

RULES = {
    "agent": AGENT_ID,
    "proposer": AGENT_ID,
    "operation": OPERATION,
    "slot": SLOT,
    "chunk": CHUNK,
    "bucket": BUCKET_STREAM,
}
NOT_PLAIN = ("", ".", "a.b", "a b", " a", "a ", "*", ">", "a*", "a\n", "\n", "a\r", "a\0", "ä", "a/b", "-a", "_a", "$a")
SHORTEST = {"operation": "Get", "slot": "0", "chunk": "0", "bucket": "OBJ_a"}


def tokens(field: str) -> st.SearchStrategy[str]:
    """Every token that may stand as `field`."""
    return st.from_regex(RULES.get(field, TOKEN), fullmatch=True)


def any_of(family: type[Subject]) -> st.SearchStrategy[Subject]:
    """Every subject of a family."""
    return st.builds(family, **{field.name: tokens(field.name) for field in fields(family)})


SUBJECTS = st.sampled_from(FAMILIES).flatmap(any_of)


def plain(family: type[Subject]) -> dict[str, str]:
    """Tokens that may stand in `family`."""
    return {field.name: SHORTEST.get(field.name, "a") for field in fields(family)}


@given(SUBJECTS)
def test_parse_is_the_inverse_of_build(subject: Subject) -> None:
    """parse(build(x)) == x, for every family."""
    assert type(subject).parse(str(subject)) == subject


@given(SUBJECTS, SUBJECTS)
def test_two_subjects_never_share_a_string(one: Subject, other: Subject) -> None:
    """Building is injective, also between families."""
    assert (str(one) == str(other)) == (one == other)


@given(SUBJECTS)
def test_a_subject_is_of_one_family_only(subject: Subject) -> None:
    """No subject can be read as one of another family."""
    for family in FAMILIES:
        if family is not type(subject):
            with pytest.raises(InvalidSubject):
                family.parse(str(subject))


@given(SUBJECTS)
def test_a_family_has_one_number_of_tokens(subject: Subject) -> None:
    """The number of tokens is that of the template, so a wildcard in a permission means what it says."""
    assert str(subject).count(".") == type(subject).template.count(".")


@pytest.mark.parametrize("token", [*NOT_PLAIN, "a" * 64])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_token_that_is_not_plain_is_refused(family: type[Subject], token: str) -> None:
    """Dots, spaces, wildcards, line ends, other scripts and over-long tokens are refused in every place."""
    for field in fields(family):
        with pytest.raises(InvalidSubject, match=field.name):
            family(**plain(family) | {field.name: token})


@pytest.mark.parametrize(
    ("field", "token"),
    [
        *(("agent", token) for token in ("A", "aB", "1a", "a_b", "a" * 26)),
        *(("caller", token) for token in ("A", "aB", "-a", "_a")),
        *(("slot", token) for token in ("1234", "a", "-1", "٣")),
        *(("operation", token) for token in ("sendMessage", "Send-Message", "SM", "Send1", "S" * 64)),
    ],
)
def test_each_field_has_a_rule_of_its_own(field: str, token: str) -> None:
    """Upper case only in operations, digits only in slots; agents' ids also fit a system user's name."""
    with pytest.raises(InvalidSubject, match="must match"):
        require_token(field, token)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_nearly_a_subject_is_refused(family: type[Subject]) -> None:
    """A line end, a token more or less, another root or another case makes it no subject of ours."""
    subject = str(family(**plain(family)))
    for wrong in (subject + "\n", subject + ".x", subject + ".", subject.rsplit(".", 1)[0], "x" + subject, ""):
        with pytest.raises(InvalidSubject):
            family.parse(wrong)
    with pytest.raises(InvalidSubject):
        family.parse(subject.replace(".", "x"))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_pattern_leaves_open_only_what_is_not_known(family: type[Subject]) -> None:
    """`pattern()` has a `*` for each token that is not given, and a known token must be plain too."""
    known = plain(family)
    assert family.pattern(**known) == str(family(**known))
    assert family.pattern().count("*") == len(known)
    with pytest.raises(InvalidSubject):
        family.pattern(**dict.fromkeys(known, "*"))


def test_a_subject_reads_as_its_table_row() -> None:
    """The template is the documented form."""
    assert str(Request("greeter", "ops", "SendMessage")) == "a2a.v1.req.greeter.ops.SendMessage"
