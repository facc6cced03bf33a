"""Who may what."""

from __future__ import annotations

from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.model.access import ACTIONS, SIGNED_IN_ONLY, USER_ROLES, Principal, Role, Via, machines_of, may, role_needed

EVERYBODY: tuple[Role, ...] = (*USER_ROLES, "machine")


def somebody(role: Role, machines: frozenset[int] | None = None, via: Via = "session") -> Principal:
    kind, how = ("machine", "key") if role == "machine" else ("user", via)
    return Principal(kind=kind, id=7, name="x", role=role, machines=machines, via=how, credential_id=1)  # type: ignore[arg-type]


@pytest.mark.parametrize("action", ACTIONS)
def test_nobody_without_a_credential_may_do_anything(action: str) -> None:
    assert not may(None, action)


@pytest.mark.parametrize("action", [a for a, roles in ACTIONS.items() if roles != {"machine"}])
def test_an_admin_may_do_everything_a_person_may(action: str) -> None:
    assert may(somebody("admin"), action)


@pytest.mark.parametrize("action", [a for a, roles in ACTIONS.items() if roles != {"machine"}])
def test_a_token_may_what_its_owner_may_but_make_nothing_that_lets_in(action: str) -> None:
    assert may(somebody("admin", via="login"), action)
    assert may(somebody("admin", via="token"), action) == (action not in SIGNED_IN_ONLY)


def test_an_unknown_action_is_a_bug_and_not_a_permission() -> None:
    with pytest.raises(KeyError):
        may(somebody("admin"), "machine.explode")


ADMINISTRATORS_READ = ("enrolment.read", "recording.read", "system.read", "user.read")
"""With technicians, in part."""


@pytest.mark.parametrize("action", ACTIONS)
def test_a_viewer_only_reads(action: str) -> None:
    reads = (action.endswith(".read") and action not in ADMINISTRATORS_READ) or action in (
        "feed.watch",
        "account.edit",
        "account.secure",
        "account.sign_out",
        "saved_view.keep",
        "session.manage_own",
        "token.create",
        "token.manage_own",
    )
    assert may(somebody("viewer"), action) == reads


def test_a_machine_reaches_itself_and_nothing_else() -> None:
    own = somebody("machine", frozenset({7}))
    assert may(own, "status.write", 7)
    assert not may(own, "status.write", 8)
    assert not may(own, "command.send", 7)
    assert not may(own, "machine.manage", 7)


def test_only_the_machine_and_the_admin_add_readings() -> None:
    assert [role for role in EVERYBODY if may(somebody(role), "metrics.write")] == ["admin", "machine"]


@given(
    role=st.sampled_from(EVERYBODY),
    action=st.sampled_from(sorted(ACTIONS)),
    own=st.frozensets(st.integers(1, 5)),
    rvm_id=st.integers(1, 5),
)
def test_a_bound_principal_never_reaches_beyond_its_set(
    role: str, action: str, own: frozenset[int], rvm_id: int
) -> None:
    principal = somebody(cast("Role", role), own)
    if may(principal, action, rvm_id):
        assert rvm_id in own
        assert role in ACTIONS[action]


def test_only_technicians_are_bound_to_a_set() -> None:
    assert machines_of("technician", frozenset()) == frozenset()
    for role in ("admin", "operator", "viewer"):
        assert machines_of(role, frozenset({1})) is None


def test_the_role_to_name_is_the_least_that_may() -> None:
    assert role_needed("status.write") == "operator"
    assert role_needed("user.manage") == "admin"
    assert role_needed("link.open") == "machine"
    for action in ACTIONS:
        assert role_needed(action) in ACTIONS[action]


def test_a_principal_acts_under_its_own_name() -> None:
    assert somebody("admin").actor.startswith("user:")
    assert Principal("machine", 7, "RVM", "machine", frozenset({7}), "key", 0).actor == "machine:7"
