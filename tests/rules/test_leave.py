"""How sessions leave, to the millisecond: what dies with them, and whether a store has anything to write."""

import pytest
from msgspec.structs import replace

from streamlimit import rules
from streamlimit.model import Ask, Event, Purpose
from streamlimit.policy import Policy
from streamlimit.rules.grants import Grants
from streamlimit.rules.ledger import Ledger

NOW_MS = 1_750_000_000_000
POLICY = Policy()


def seated(purpose: Purpose) -> Ledger:
    """The ledger of a user whose session was given a grant, or (by a lease) none."""
    ledger = Ledger()
    rules.admit(ledger, Ask("user", "tv", "news", purpose=purpose, lease_id="lease"), POLICY, NOW_MS, Grants())
    return ledger


def ended(purpose: Purpose) -> tuple[Ledger, Event]:
    """A ledger that has forgotten the session's end, and the event that told of it."""
    (event,) = rules.end(seated(purpose), "user", "tv", POLICY, NOW_MS).answer
    return seated(purpose), event


def test_ending_who_sits_no_more_kills_all_grants_of_before_and_none_of_this_millisecond() -> None:
    grants = Grants()
    assert rules.end(Ledger(), "user", "tv", POLICY, NOW_MS, grants).ended_grants
    assert grants.newest_dead("tv", NOW_MS) == NOW_MS - 1


def test_the_grant_of_a_loss_that_is_made_again_is_one_that_was_given() -> None:
    (ledger, event), grants = ended(Purpose.SEAT), Grants()
    assert rules.lose_again(ledger, event, POLICY, NOW_MS, grants).ended_grants
    assert [(dead.generation, dead.given) for dead in grants.dead] == [(event.session.generation, True)]


@pytest.mark.parametrize(
    ("purpose", "grants"), [(Purpose.LEASE, Grants()), (Purpose.SEAT, None)], ids=["none was given", "it lives on"]
)
def test_a_loss_that_is_made_again_ends_no_grant_where_there_is_none_to_end(
    purpose: Purpose, grants: Grants | None
) -> None:
    ledger, event = ended(purpose)
    outcome = rules.lose_again(ledger, event, POLICY, NOW_MS, grants)
    assert (outcome.changed, outcome.ended_grants) == (True, False)


@pytest.mark.parametrize(("by", "said"), [("anna", "anna"), (None, "")], ids=["named", "nobody"])
def test_a_loss_that_is_made_again_names_who_did_it_as_before(by: str | None, said: str) -> None:
    ledger, event = ended(Purpose.LEASE)
    (again,) = rules.lose_again(ledger, replace(event, by=by), POLICY, NOW_MS).answer
    assert (again.by, ledger.marks[0].by) == (said, said)


def test_a_loss_that_was_not_forgotten_changes_nothing() -> None:
    event = ended(Purpose.LEASE)[1]
    assert not rules.lose_again(Ledger(), event, POLICY, NOW_MS, Grants()).changed


def test_at_the_moment_at_which_the_last_of_it_lapses_a_user_is_forgotten() -> None:
    ledger = seated(Purpose.LEASE)
    rules.end(ledger, "user", "tv", POLICY, NOW_MS)
    ledger.spent_until_ms = last_ms = NOW_MS + POLICY.expiry_ms
    assert not rules.expire(ledger, "user", POLICY, last_ms - 1).changed
    assert rules.expire(ledger, "user", POLICY, last_ms).changed
    assert ledger.is_blank()
