"""One user of the run: what its screens share, and the look from outside at who watches."""

import asyncio
import random
import time
from dataclasses import dataclass, field

from streamlimit.bench.calls import Calls
from streamlimit.bench.figures import Figures
from streamlimit.bench.proof import Proof
from streamlimit.bench.stage import Stage

LOOK_EVERY = 2.0
"""Segments between two looks."""

END_TRIES = 5


@dataclass
class Run:
    """What all viewers share. *pace*: seconds from one segment to the next, speed included."""

    stage: Stage
    figures: Figures
    pace: float
    over: asyncio.Event = field(default_factory=asyncio.Event)
    first_segments: dict[str, str] = field(default_factory=dict)
    """The name of each stream's first segment: to watch it once more."""

    async def pause(self, seconds: float) -> bool:
        """Waits; False: the run is over."""
        try:
            await asyncio.wait_for(self.over.wait(), max(seconds, 0))
        except TimeoutError:
            return True
        return False

    async def until(self, moment: float) -> bool:
        """Waits for that moment of the clock, and notes by how much it was missed; False: the run is over."""
        goes_on = await self.pause(moment - time.monotonic())
        if goes_on:
            self.figures.late.append(max(time.monotonic() - moment, 0))
        return goes_on


@dataclass
class ViewerGroup:
    """One user. *screens*: how many players it has, which may be more than it has seats."""

    user_id: str
    screens: int
    run: Run
    calls: Calls
    proof: Proof
    rng: random.Random

    @property
    def path(self) -> str:
        """Of its sessions."""
        return f"/v1/users/{self.user_id}/sessions"

    async def look_on(self) -> None:
        """Looks at who watches, again and again."""
        every = LOOK_EVERY * self.run.pace
        await self.run.pause(self.rng.uniform(0, every))
        while not self.run.over.is_set():
            await self.look()
            await self.run.pause(self.rng.uniform(0.5, 1.5) * every)

    async def look(self) -> int | None:
        """How many watch now; None: no telling."""
        answer = await self.calls.ask("look", "GET", self.path)
        if answer.status != 200:
            return None
        try:
            return self.proof.note_look(answer.document)
        except (KeyError, TypeError, ValueError):  # something else than the service answered
            return None

    async def end(self) -> int:
        """Ends all of its sessions, and returns how many are left. What is on its way may need a moment."""
        left: int | None = None
        self.calls.figures = Figures()  # tidying up is no part of what was measured
        for attempt in range(END_TRIES):
            await asyncio.sleep(0.05 * attempt)
            await self.calls.ask("end", "DELETE", f"{self.path}?reason=bench")
            left = await self.look()
            if left == 0:
                break
        return self.screens if left is None else left
