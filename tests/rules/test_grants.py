"""Ended grants, to the millisecond and to the last one that is remembered."""

from streamlimit.policy import GRANTS_KEPT, Policy
from streamlimit.rules.grants import Grants, kill, revoke

NOW_MS = 1_750_000_000_000
POLICY = Policy()
END_MS = NOW_MS + POLICY.grant_ms


def killed(count: int, given: bool, grants: Grants | None = None) -> Grants:
    grants = grants or Grants()
    for number in range(count):
        kill(grants, f"{'grant' if given else 'seat'}-{number}", NOW_MS + number, given, POLICY, NOW_MS)
    return grants


def test_a_dead_grant_and_a_revocation_are_forgotten_at_the_moment_at_which_the_youngest_would_expire() -> None:
    dead, revoked = killed(1, given=True), Grants()
    revoke(revoked, NOW_MS, POLICY, NOW_MS)
    for grants, generation in ((dead, NOW_MS), (revoked, NOW_MS)):
        assert grants.newest_dead("grant-0", END_MS - 1) == generation
        assert grants.newest_dead("grant-0", END_MS) == -1


def test_ending_again_forgets_what_has_expired_by_then() -> None:
    grants = killed(1, given=True)
    kill(grants, "other", END_MS, True, POLICY, END_MS)
    assert [each.session_id for each in grants.dead] == ["other"]


def test_a_session_whose_grant_was_ended_surely_had_one_whatever_its_later_seats_had() -> None:
    grants = killed(1, given=True)
    kill(grants, "grant-0", NOW_MS + 1, False, POLICY, NOW_MS)
    assert [(each.generation, each.given) for each in grants.dead] == [(NOW_MS + 1, True)]


def test_as_many_as_fit_are_told_apart_and_of_one_more_the_oldest_is_revoked_with_all_of_its_time() -> None:
    grants = killed(GRANTS_KEPT, given=True)
    assert (len(grants.dead), grants.revoked) == (GRANTS_KEPT, 0)
    kill(grants, "last", NOW_MS + GRANTS_KEPT, True, POLICY, NOW_MS)
    assert len(grants.dead) == GRANTS_KEPT
    assert (grants.dead[0].session_id, grants.revoked) == ("grant-1", NOW_MS)
    assert grants.newest_dead("grant-0", NOW_MS) == grants.newest_dead("a stranger", NOW_MS) == NOW_MS


def test_of_sessions_that_had_no_grant_one_too_many_is_only_forgotten_and_takes_no_place_of_others() -> None:
    grants = killed(GRANTS_KEPT + 1, given=False, grants=killed(GRANTS_KEPT, given=True))
    assert (len(grants.dead), grants.revoked) == (2 * GRANTS_KEPT, 0)
    assert grants.newest_dead("grant-0", NOW_MS) == NOW_MS
    assert grants.newest_dead("seat-0", NOW_MS) == -1
    assert grants.newest_dead("seat-1", NOW_MS) == NOW_MS + 1
