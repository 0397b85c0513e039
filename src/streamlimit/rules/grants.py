"""The ended (dead) grants of one user, which start nothing.

Kept apart from the ledger: a session with a seat never needs it, and it is remembered for as long as a grant lives, not
for n·X. A grant is known by its session and the *generation* of the seat that it was given for: a later seat's grant
works.
"""

from msgspec import Struct, field

from streamlimit.policy import GRANTS_KEPT, Policy


class Dead(Struct, array_like=True, gc=False):
    """The dead grants of a session: those of `generation` and all older ones. `given`: it certainly had one."""

    session_id: str
    generation: int
    until_ms: int
    given: bool


class Grants(Struct, array_like=True, gc=False):
    """The dead grants of a user, the oldest end first. `revoked`: grants of this generation or older are dead."""

    dead: list[Dead] = field(default_factory=list)
    revoked: int = 0
    revoked_until_ms: int = 0

    def newest_dead(self, session_id: str, now_ms: int) -> int:
        """The generation of the session's youngest dead grant; −1: there is none."""
        newest = self.revoked if self.revoked_until_ms > now_ms else -1
        for each in self.dead:
            if each.session_id == session_id and each.until_ms > now_ms and each.generation > newest:
                newest = each.generation
        return newest

    def until_ms(self) -> int:
        """The time (ms) from which on these grants have expired."""
        return max([self.revoked_until_ms, *(each.until_ms for each in self.dead)])


def kill(grants: Grants, session_id: str, generation: int, given: bool, policy: Policy, now_ms: int) -> None:
    """Makes the session's grants of *generation*, and all older ones, dead until the youngest would expire."""
    end = Dead(session_id, generation, now_ms + policy.grant_ms, given)
    kept = []
    for each in grants.dead:
        if each.session_id == session_id:
            end.generation, end.given = max(end.generation, each.generation), end.given or each.given
        elif each.until_ms > now_ms:
            kept.append(each)
    grants.dead = [*kept, end]
    for kind in (True, False):
        alike = [each for each in grants.dead if each.given is kind]
        if len(alike) > GRANTS_KEPT:
            _drop(grants, alike[0])


def revoke(grants: Grants, generation: int, policy: Policy, now_ms: int) -> None:
    """Makes all grants of *generation*, and all older ones, dead, of any session; no session is remembered."""
    grants.dead = []
    grants.revoked = max(grants.revoked, generation)
    grants.revoked_until_ms = max(grants.revoked_until_ms, now_ms + policy.grant_ms)


def _drop(grants: Grants, oldest: Dead) -> None:
    """Drops an entry from the list: it stays dead, together with all grants of its time."""
    grants.dead = [each for each in grants.dead if each is not oldest]
    if oldest.given:
        grants.revoked = max(grants.revoked, oldest.generation)
        grants.revoked_until_ms = max(grants.revoked_until_ms, oldest.until_ms)
