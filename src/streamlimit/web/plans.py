"""The plans of the settings, and their limits."""

from collections.abc import Mapping

from streamlimit.logs import EventLog
from streamlimit.web.problems import Problem, wrong_field
from streamlimit.web.rights import Role

log = EventLog("streamlimit.auth")

UNKNOWN_PLANS_LOGGED = 100


class Plans:
    """Limits by plan."""

    def __init__(self, plans: Mapping[str, int]) -> None:
        self._plans, self._unknown = dict(plans), set[str]()

    @property
    def by_name(self) -> Mapping[str, int]:
        """All limits by plan."""
        return self._plans

    def adopt(self, plans: Mapping[str, int]) -> None:
        """Replaces the plans. (`Authenticator.adopt` drops remembered limits.)"""
        self._plans, self._unknown = dict(plans), set()

    def limit(self, plan: str | None) -> int | None:
        """The plan's limit; None where there is no such plan, which is logged once: the service's limit holds."""
        if plan is None:
            return None
        found = self._plans.get(plan)
        if found is None and plan not in self._unknown and len(self._unknown) < UNKNOWN_PLANS_LOGGED:
            self._unknown.add(plan)
            log.warning("unknown_plan", plan=plan[:128], note="max_sessions holds for its users")
        return found

    def limit_of(self, role: Role, plan: str | None) -> int | None:
        """The limit of the plan that a request names, of a caller of that *role*.

        Raises 403 for viewers, who do not choose their plan, and `malformed` for an unknown plan.
        """
        if plan is None:
            return None
        if role in ("grant", "viewer"):
            raise Problem("forbidden", "the plan is named by the token, or by a back end of the platform")
        if plan not in self._plans:
            raise wrong_field("plan", "there is no such plan in the settings")
        return self._plans[plan]
