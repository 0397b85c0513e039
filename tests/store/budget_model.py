"""The budget of visits as rule 13 says it, for the state machine: a sum over the past, not how it is kept."""

from dataclasses import dataclass, field


@dataclass
class Budget:
    """One user's. Times in ms; a visit costs what it takes until it has come back, one given back as much less."""

    visit_ms: int
    burst_ms: int
    paid: list[tuple[int, int]] = field(default_factory=list)

    def cost(self, limit: int) -> int:
        """Of a user of so many seats."""
        return self.visit_ms // limit

    def spent(self, now: int) -> int:
        """Over any time up to now no more may be paid than the burst and what came back: how near is that?"""
        most, total = 0, 0
        for at, cost in reversed(self.paid):
            total += cost
            most = max(most, total - (now - at))
        return most

    def wait(self, limit: int, now: int) -> int:
        """How long until one more may be paid."""
        return max(self.spent(now) + self.cost(limit) - self.burst_ms, 0)

    def pay(self, limit: int, now: int) -> None:
        assert not self.wait(limit, now), "more visits were admitted than the burst and what came back"
        self.paid.append((now, self.cost(limit)))

    def give_back(self, limit: int, now: int) -> None:
        self.paid.append((now, -self.cost(limit)))
